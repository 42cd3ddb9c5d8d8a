import numpy as np
import pytest

from srv.model_settings import ModelSettings
from srv.models.runtime_classes import BadInit, BadMethod, NoPredict, check_predict, make_runtime
from srv.runtime import Runtime

SETTINGS = ModelSettings(name="m")


class Good(Runtime):
    def predict(self, x: np.ndarray):
        return x


class NoSettings(Good):
    def __init__(self):
        pass


class MoreThanSettings(Good):
    def __init__(self, settings, path):
        super().__init__(settings)


class SettingsByName(Good):
    def __init__(self, *, settings):
        super().__init__(settings)


class Forgets(Good):
    def __init__(self, *args, **kwargs):
        self.k = 1


class KeepsTheSettingsOnly(Good):
    def __init__(self, settings):
        self.settings = settings


class UsesTooEarly(Good):
    def __init__(self, settings):
        self.file = self.settings.folder / "model.bin"
        super().__init__(settings)


class PassesNothingOn(Good):
    def __init__(self, settings):
        super().__init__()


class MadeAsync(Good):
    async def __init__(self, settings):
        super().__init__(settings)


@pytest.mark.parametrize(
    "runtime, what",
    [
        (NoSettings, "NoSettings.__init__ does not take the settings alone"),
        (MoreThanSettings, "MoreThanSettings.__init__ does not take the settings alone"),
        (SettingsByName, "SettingsByName.__init__ does not take the settings alone"),
        (Forgets, r"Forgets.__init__ does not call super\(\).__init__"),
        (KeepsTheSettingsOnly, r"KeepsTheSettingsOnly.__init__ does not call super\(\).__init__"),
        (UsesTooEarly, r"UsesTooEarly.__init__ uses self.settings before it has called super\(\).__init__"),
        (PassesNothingOn, r"PassesNothingOn.__init__ does not pass the settings on to super\(\).__init__"),
        (MadeAsync, "MadeAsync.__init__ is async"),
    ],
)
def test_an_init_that_srv_cannot_call_is_told_what_to_write(runtime, what):
    with pytest.raises(BadInit, match=what + r".*Write def __init__\(self, settings\): super\(\).__init__\(settings\)"):
        make_runtime(runtime, SETTINGS)


class Careful(Good):
    def __init__(self, settings, factor=2, *rest, **more):
        super().__init__(settings)
        self.factor = factor


class Looks(Good):
    def __init__(self, settings):
        super().__init__(settings)
        self.nothing.at_all()


class Multiplies(Good):
    def __init__(self, settings):
        super().__init__(settings)
        self.sum = "a" + 1


def test_an_init_that_takes_the_settings_is_called_with_them():
    runtime = make_runtime(Careful, SETTINGS)

    assert (runtime.name, runtime.factor) == ("m", 2)


@pytest.mark.parametrize("runtime, error", [(Looks, AttributeError), (Multiplies, TypeError)])
def test_what_an_init_raises_of_its_own_is_raised(runtime, error):
    with pytest.raises(error):
        make_runtime(runtime, SETTINGS)


class Generates(Runtime):
    def predict(self, x: np.ndarray):
        yield x


class GeneratesAsync(Runtime):
    async def predict(self, x: np.ndarray):
        yield x


class LoadsNothing(Good):
    def load(self):
        yield


class LoadsNothingAsync(Good):
    async def load(self):
        yield


class UnloadsNothing(Good):
    async def unload(self):
        yield


class LoadsAPath(Good):
    def load(self, path):
        self.path = path


class UnloadsAPath(Good):
    def unload(self, path): ...


class WithoutSelf(Good):
    def load(): ...


class IsAProperty(Runtime):
    @property
    def predict(self):
        raise ValueError("nobody should ask")


class IsAValue(Runtime):
    predict = 3


class IsStatic(Runtime):
    @staticmethod
    def predict(self, x): ...


@pytest.mark.parametrize(
    "runtime, what",
    [
        (Generates, "Generates.predict is a generator, which has many answers. Call it predict_stream, or return one"),
        (GeneratesAsync, "GeneratesAsync.predict is a generator"),
        (LoadsNothing, "LoadsNothing.load is a generator, so that calling it does nothing; return, and do not yield"),
        (LoadsNothingAsync, "LoadsNothingAsync.load is a generator"),
        (UnloadsNothing, "UnloadsNothing.unload is a generator"),
        (LoadsAPath, "LoadsAPath.load takes arguments, and is called without; the settings are self.settings"),
        (UnloadsAPath, "UnloadsAPath.unload takes arguments"),
        (IsAProperty, "IsAProperty.predict is a property; take @property away"),
        (IsAValue, "IsAValue.predict is of type int, and must be a method"),
        (IsStatic, "IsStatic.predict is a staticmethod that takes self; take @staticmethod away"),
    ],
)
def test_a_method_that_srv_cannot_call_is_told_before_load_is_called(runtime, what):
    with pytest.raises(BadMethod, match=what):
        make_runtime(runtime, SETTINGS)


class Static(Runtime):
    @staticmethod
    def predict(x: np.ndarray):
        return x


class OfTheClass(Runtime):
    @classmethod
    def predict(cls, x: np.ndarray):
        return x


class Streams(Runtime):
    async def predict_stream(self, x: np.ndarray):
        yield x


class Borrowed(Runtime):
    predict = len


@pytest.mark.parametrize("runtime", [Good, Static, OfTheClass, Streams, Borrowed])
def test_methods_that_srv_can_call_are_left_alone(runtime):
    check_predict(make_runtime(runtime, SETTINGS))


def test_a_predict_that_load_brings_counts_and_is_looked_at():
    runtime = make_runtime(Runtime, SETTINGS)
    with pytest.raises(NoPredict):
        check_predict(runtime)
    runtime.predict = lambda x: x
    check_predict(runtime)
    runtime.predict = Generates(SETTINGS).predict
    with pytest.raises(BadMethod, match="is a generator"):
        check_predict(runtime)
