"""The file for Docker Compose."""

import yaml

#: It reads the settings in the container, and so asks the right address over TLS and on a socket too.
HEALTH = ["CMD", "python", "-P", "-m", "srv", "health", "/srv/app"]


def service(text):
    [found] = yaml.safe_load(text)["services"].values()
    return found


def test_a_service_is_hardened_asked_for_its_health_and_given_time_to_stop(printed):
    assert service(printed("compose")) == {
        "image": "scale:1",
        "ports": ["8080:8080", "8081:8081"],
        "read_only": True,
        "tmpfs": ["/tmp"],
        "user": "1000:0",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "healthcheck": {
            "test": HEALTH,
            "interval": "10s",
            "timeout": "6s",
            "retries": 3,
            "start_period": "60s",
        },
        "stop_grace_period": "30s",
        "restart": "unless-stopped",
    }


def test_what_it_may_use_is_written_as_docker_reads_it(printed):
    made = service(printed("compose", "--cpu", "500m", "--memory", "1500Mi", "--gpu", "1", "--shm", "1Gi"))
    assert (made["cpus"], made["mem_limit"], made["shm_size"]) == ("0.5", "1500m", "1g")
    [device] = made["deploy"]["resources"]["reservations"]["devices"]
    assert (device["count"], device["capabilities"]) == (1, ["gpu"])


def test_variables_reach_the_server_as_they_are_and_secret_ones_by_name(printed):
    made = service(printed("compose", "--env", "PRICE=$5", "--env", "TOKEN", settings={"drain_delay": 20}))
    assert made["environment"] == {"TOKEN": None, "PRICE": "$$5"}
    assert made["stop_grace_period"] == "30s"


def test_models_are_a_folder_or_a_volume(printed, folder):
    assert service(printed("compose", "--models", "./models"))["volumes"] == ["./models:/mnt/models:ro"]
    text = printed("compose", "--models", "weights")
    assert service(text)["volumes"] == ["weights:/mnt/models:ro"]
    assert yaml.safe_load(text)["volumes"] == {"weights": {"external": True}}


def test_tls_is_asked_from_inside_and_its_files_are_mounted(printed):
    made = service(printed("compose", settings={"tls": {"certfile": "/etc/tls/a.crt", "keyfile": "/etc/tls/a.key"}}))
    assert made["volumes"] == ["/etc/tls/a.crt:/etc/tls/a.crt:ro", "/etc/tls/a.key:/etc/tls/a.key:ro"]
    assert made["healthcheck"]["test"] == HEALTH


def test_a_server_on_a_socket_publishes_no_port_and_shares_the_socket_s_folder(printed):
    made = service(printed("compose", settings={"host": "unix:/run/srv/http.sock"}))
    assert "ports" not in made
    assert made["volumes"] == ["./run:/run/srv"]
    assert made["healthcheck"]["test"] == HEALTH


def test_a_port_of_root_s_may_be_taken(printed):
    made = service(printed("compose", settings={"http_port": 80}))
    assert made["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}


def test_settings_are_mounted_from_the_folder_and_their_values_are_not_told(printed, folder):
    text = printed("compose", "--settings", settings={"keys": {"ci": "a-key-of-somebody-s"}})
    assert service(text)["volumes"] == [f"{folder}/settings.json:/srv/app/settings.json:ro"]
    assert "a-key-of-somebody-s" not in text
