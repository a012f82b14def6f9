import numpy as np
import pytest

from moedsr.errors import InputError
from moedsr.structures.radii import bondi_radii


def test_bondi_radii_in_any_case():
    radii = bondi_radii(["H", "c", "N ", "O", "S", "Se", "ZN"])
    assert radii.dtype == np.float32
    np.testing.assert_allclose(radii, [1.2, 1.7, 1.55, 1.52, 1.8, 1.9, 1.39])
    assert bondi_radii([]).shape == (0,)


def test_an_unknown_element_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"atom 1 has element 'Xx', but must have one of known radius: H, .*Se"):
        bondi_radii(["C", "Xx"])
