"""The page for browsers as a person uses it, in headless Chromium."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.page

HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def send(page):
    page.get_by_role("button", name="Send", exact=True).click()


def answer(page):
    return page.get_by_role("region", name="Answer", exact=True)


def value(page):
    return answer(page).locator(".value")


def field(page, name):
    return page.get_by_label(name, exact=True)


def of_model(url, name):
    return f"{url}/v2/models/{name}/docs"


def rows_of(table):
    return [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]


def test_a_person_opens_the_server_chooses_a_model_changes_an_input_and_reads_the_answer(visit, url, expect):
    page = visit(url)
    expect(page).to_have_url(f"{url}/v2/docs")
    expect(page.get_by_role("row", name=re.compile("^double"))).to_contain_text("READY")
    expect(page.get_by_role("row", name=re.compile("^broken"))).to_contain_text("UNAVAILABLE")

    page.get_by_role("link", name="double", exact=True).click()
    expect(page).to_have_url(of_model(url, "double"))
    send(page)
    expect(value(page)).to_have_text("1")
    page.get_by_label(re.compile("^x, a number")).fill("21")
    send(page)

    expect(value(page)).to_have_text("42")
    expect(answer(page).locator(".facts")).to_contain_text(re.compile(r"200 in [\d.]+ m?s, version 1"))


def test_a_warm_up_request_stands_as_a_table_whose_rows_are_added_and_sent(visit, url, expect):
    page = visit(of_model(url, "prices"))
    expect(page.get_by_text("warm-up request")).to_be_visible()
    page.get_by_role("button", name="Add a row").click()
    expect(field(page, "rooms, row 2")).to_be_focused()
    field(page, "city, row 2").fill("Basel")
    field(page, "area, row 2").fill("1.5")
    send(page)

    table = answer(page).locator("table")
    expect(table.locator("tbody tr")).to_have_count(3)
    big = "9007199254740993"
    assert rows_of(table) == [["Bern", "70500", "3"], ["Ulm", "120000", big], ["Basel", "1500", big]]


def test_each_integer_of_64_bits_is_sent_and_shown_as_it_is(visit, url, expect):
    page = visit(of_model(url, "whole"))
    for number in ("9223372036854775807", "-9223372036854775808"):
        page.get_by_label(re.compile("^x, a whole number")).fill(number)
        send(page)
        expect(value(page)).to_have_text(number)


def test_a_value_that_does_not_fit_is_told_beside_its_field_and_not_sent(visit, url, expect):
    page = visit(of_model(url, "whole"))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    cell = page.get_by_label(re.compile("^x, a whole number"))
    cell.fill("9223372036854775808")
    asked.clear()
    send(page)
    expect(page.locator(".note").first).to_contain_text("'9223372036854775808' is no INT64")
    expect(cell).to_be_focused()
    expect(cell).to_have_attribute("aria-invalid", "true")
    assert asked == []


def test_what_the_server_refuses_is_shown_with_its_code_and_the_requests_id(visit, url, expect):
    page = visit(of_model(url, "fails"))
    send(page)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("MODEL_ERROR")
    expect(alert).to_contain_text(re.compile(r"Request \w+, as the server's log has it"))
    page = visit(of_model(url, "nobody"))
    expect(page.get_by_role("alert")).to_contain_text("NOT_FOUND No model is called 'nobody'.")


def test_a_stream_is_shown_as_it_comes_and_can_be_stopped(visit, url, folder, expect):
    page = visit(of_model(url, "words"))
    page.get_by_label(re.compile("^text, ")).fill("one two")
    send(page)
    events = answer(page).locator("ol li")
    expect(events).to_have_count(1)
    expect(answer(page).locator("pre.text").first).to_have_text("one ")
    (folder / "words" / "two").touch()
    expect(events).to_have_count(2)
    expect(answer(page).locator("pre.text").first).to_have_text("one two ")
    expect(answer(page).locator(".facts")).to_contain_text("2 responses, the first after")

    page.get_by_label(re.compile("^text, ")).fill("one never")
    send(page)
    expect(events).to_have_count(1)
    page.get_by_role("button", name="Stop").click()
    expect(answer(page)).to_contain_text("Stopped after")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


def test_a_csv_file_fills_the_columns_by_their_names(visit, url, expect, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('city,area,"rooms"\r\n"Zürich, ""Kreis"" 1",99.5,4\r\nUlm,1e2,2\r\n')
    page = visit(of_model(url, "prices"))
    page.get_by_label("CSV file").set_input_files(path)
    expect(field(page, "city, row 0")).to_have_value('Zürich, "Kreis" 1')
    send(page)
    expect(answer(page).locator("tbody tr")).to_have_count(2)
    assert rows_of(answer(page).locator("table")) == [['Zürich, "Kreis" 1', "99500", "4"], ["Ulm", "100000", "2"]]

    path.write_text("city;area\nUlm;3\n")
    page.get_by_label("CSV file").set_input_files(path)
    expect(page.locator(".file .note")).to_contain_text("no column 'rooms'")
    path.write_text("rooms\tarea\tcity\n1\tmany\tUlm\n")
    page.get_by_label("CSV file").set_input_files(path)
    expect(page.locator(".file .note")).to_contain_text("Column 'area', row 0: 'many' is no FP64")


def test_a_csv_file_of_many_rows_is_sent_whole_and_another_can_follow(visit, url, expect, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("rooms,area,city\n" + "".join(f"{place},{place / 2},city {place}\n" for place in range(5000)))
    page = visit(of_model(url, "prices"))
    page.get_by_label("CSV file").set_input_files(path)
    expect(page.get_by_text("5000 rows of a file.")).to_be_visible()
    send(page)
    expect(page.get_by_role("button", name="Show more: 100 of 5000 rows are here")).to_be_visible()
    assert rows_of(answer(page).locator("table"))[99] == ["city 99", "49500", "99"]
    path.write_text("rooms,area,city\n1,2,Ulm\n")
    page.get_by_label("CSV file").set_input_files(path)
    expect(field(page, "city, row 0")).to_have_value("Ulm")


def test_a_csv_file_with_or_without_names_is_a_matrix(visit, url, expect, tmp_path):
    path = tmp_path / "rows.csv"
    page = visit(of_model(url, "sums"))
    for text in ("a,b,c,d\n1,2,3,4\n5,6,7,8\n", "1;2;3;4\n5;6;7;8"):
        path.write_text(text)
        page.get_by_label("File", exact=True).set_input_files(path)
        expect(field(page, "Shape of x")).to_have_value("2, 4")
        send(page)
        expect(answer(page).locator("tbody td")).to_have_text(["10", "26"])
    path.write_text("1,2,3\n")
    page.get_by_label("File", exact=True).set_input_files(path)
    expect(page.locator(".file .note")).to_contain_text("shape [1, 3], and the model takes [any, 4]")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(8, dtype=">f4").reshape(2, 4),
        np.asfortranarray(np.arange(8, dtype=np.int64).reshape(2, 4)),
        np.arange(8).reshape(2, 4).astype(np.float16),
    ],
    ids=["big-endian", "fortran", "half"],
)
def test_an_npy_file_is_an_array_whatever_its_order(visit, url, expect, tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    page = visit(of_model(url, "sums"))
    page.get_by_label("File", exact=True).set_input_files(tmp_path / "x.npy")
    expect(field(page, "x, row 1, column 3")).to_have_value("7")
    send(page)
    expect(answer(page).locator("tbody td")).to_have_text(["6", "22"])


def pixel(page, column, row):
    return page.locator("canvas").evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]", [column, row]
    )


def test_a_picture_is_pixels_and_an_answer_of_pixels_is_a_picture(visit, url, expect, picture):
    path, _ = picture
    page = visit(of_model(url, "negative"))
    page.get_by_label("File", exact=True).set_input_files(path)
    expect(field(page, "Shape of image")).to_have_value("12, 16, 3")
    send(page)
    expect(page.get_by_role("img", name="Picture output, 16 by 12")).to_be_visible()
    assert pixel(page, 8, 6) == [255 - 255 * 8 // 16, 255 - 255 * 6 // 12, 127, 255]


def test_a_picture_is_bytes_and_an_answer_of_such_bytes_is_drawn(visit, url, expect, picture):
    path, text = picture
    page = visit(of_model(url, "same"))
    page.get_by_label("File", exact=True).set_input_files(path)
    expect(page.get_by_label(re.compile("^image, ")).first).to_have_value(text)
    send(page)
    expect(page.get_by_role("img", name="Picture output-0, 16 by 12")).to_be_visible()
    assert pixel(page, 8, 6) == [255 * 8 // 16, 255 * 6 // 12, 128, 255]
    with page.expect_download() as saved:
        answer(page).get_by_role("button", name=re.compile("^Save output-0")).click()
    assert saved.value.suggested_filename == "output-0.png"


def test_html_of_a_model_is_text_wherever_it_stands(visit, url, expect):
    page = visit(of_model(url, "html"))
    page.get_by_text("Metadata: platform").click()
    send(page)
    expect(answer(page).locator("h3").first).to_contain_text(HTML)
    expect(answer(page).locator("pre.text")).to_have_text(HTML + HTML)
    expect(page.locator("summary").first).to_contain_text(HTML)
    expect(page.locator("main details pre").first).to_contain_text(HTML)
    assert page.locator("main img, main script").count() == 0


def test_names_of_inputs_are_text_and_bf16_goes_in_the_binary_form(visit, url, expect):
    page = visit(of_model(url, "names"))
    expect(page.locator("legend").first).to_contain_text(HTML)
    send(page)
    headings = answer(page).locator("h3")
    expect(headings.nth(0)).to_contain_text(f"{HTML} again")
    expect(headings.nth(1)).to_contain_text("__proto__ again")
    expect(answer(page).get_by_role("region", name="Values of small again").locator("td")).to_have_text(["0.5", "1.5"])
    expect(page.locator("pre.curl")).to_contain_text("--data-binary @request.bin")
    assert page.locator("main img, main script").count() == 0


def test_bytes_that_are_no_text_come_in_the_binary_form(visit, url, expect):
    page = visit(of_model(url, "octets"))
    page.get_by_label(re.compile("^size, ")).fill("5")
    send(page)
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_text("Options").click()
    page.get_by_label(re.compile("^Binary form")).check()
    send(page)
    expect(answer(page).get_by_role("button", name="Save output-0 (5 bytes)")).to_be_visible()


def test_many_rows_are_shown_when_they_are_asked_for(visit, url, expect):
    page = visit(of_model(url, "rows"))
    page.get_by_label(re.compile("^n, ")).fill("1200")
    send(page)
    rows = answer(page).locator("tbody tr")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Show more: 100 of 1200 rows are here").click()
    expect(rows).to_have_count(1100)
    assert rows.nth(1099).locator("td").all_inner_texts() == ["1099", "row 1099"]


@pytest.mark.parametrize(
    "name, changes", [("prices", {"city, row 0": 'O\'Fallon \\ $HOME "x" 🎉 \x85'}), ("double", {})]
)
def test_the_same_request_as_curl_and_python_gives_the_same_answer(visit, url, expect, name, changes):
    page = visit(of_model(url, name))
    for label, text in changes.items():
        field(page, label).fill(text)
    send(page)
    expect(page.locator("pre.curl")).to_be_visible()
    shown = json.loads(answer(page).locator("details pre").first.text_content())["outputs"]

    command = page.locator("pre.curl").text_content()
    asked = subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=60)
    assert json.loads(asked.stdout)["outputs"] == shown
    code = page.locator("pre.python").text_content().replace(".value)", ".response.outputs[0].data.tolist())")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    data = shown[0]["data"]
    assert eval(ran.stdout) == [each.encode() if isinstance(each, str) else each for each in data]


def test_keyboard_alone_is_enough(visit, url, expect):
    page = visit(f"{url}/v2/docs")
    expect(page.get_by_role("link", name="double", exact=True)).to_be_visible()
    press_until(page, "Tab", page.get_by_role("link", name="double", exact=True))
    page.keyboard.press("Enter")
    cell = page.get_by_label(re.compile("^x, a number"))
    expect(cell).to_be_visible()
    press_until(page, "Tab", cell)
    page.keyboard.press("Control+A")
    page.keyboard.type("3")
    page.keyboard.press("Control+Enter")
    expect(value(page)).to_have_text("6")
    page.keyboard.press("Control+A")
    page.keyboard.type("4")
    press_until(page, "Tab", page.get_by_role("button", name="Send", exact=True))
    page.keyboard.press("Enter")
    expect(value(page)).to_have_text("8")
    expect(page.get_by_role("status")).to_contain_text("Answered: 200")


def press_until(page, key, wanted):
    for _ in range(80):
        page.keyboard.press(key)
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{key} does not lead to {wanted}")


def seriously_wrong(page):
    from axe_core_python.sync_playwright import Axe

    found = Axe().run(page)["violations"]
    return [
        (each["id"], each["help"], [node["html"][:200] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical", "moderate")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_light_and_dark(visit, url, expect, scheme):
    page = visit(f"{url}/v2/docs", color_scheme=scheme)
    expect(page.locator("table")).to_be_visible()
    assert seriously_wrong(page) == []
    back = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 24)"}[scheme]
    page.get_by_role("button", name="Unload double").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert seriously_wrong(page) == []
    page.keyboard.press("Escape")
    for name in ("prices", "rows", "fails", "html", "broken", "nobody"):
        page.goto(of_model(url, name))
        expect(page.locator("form, .failure").first).to_be_visible()
        if page.locator("form").count():
            page.get_by_text("Options").click()
            page.get_by_text("Metadata:").click()
            send(page)
            expect(page.locator("pre.curl")).to_be_visible()
        assert seriously_wrong(page) == [], name


def test_a_narrow_window_needs_no_scrolling_aside(visit, url, expect):
    page = visit(of_model(url, "prices"), viewport={"width": 320, "height": 640})
    send(page)
    expect(page.locator("pre.curl")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.goto(f"{url}/v2/docs")
    expect(page.locator("table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_model_whose_name_has_points_and_one_of_its_versions_have_pages(visit, url, expect):
    page = visit(f"{url}/v2/docs")
    page.get_by_role("row", name=re.compile("^v.1-x")).get_by_role("link", name="version 1").click()
    expect(page).to_have_url(f"{url}/v2/models/v.1-x/versions/1/docs")
    send(page)
    expect(value(page)).to_have_text("1")
