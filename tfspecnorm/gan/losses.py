"""What a discriminator and a generator minimize, as functions of logits."""

from typing import Any

import keras
from keras import ops

from tfspecnorm._util.configurable import Configurable


class AdversarialLoss(Configurable):
    """Base of the losses: one number for each of the two networks.

    A subclass with arguments returns them from `get_config`, and is registered with
    `keras.saving.register_keras_serializable` where it has to be saved.
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        """What the discriminator minimizes.

        Args:
            real_logits: Tensor of any shape, outputs for images of the data.
            fake_logits: Tensor of any shape, outputs for images of the generator.

        Returns:
            Scalar tensor.
        """
        raise TypeError(f"{type(self).__name__} must define `discriminator`.")

    def generator(self, fake_logits: Any) -> Any:
        """What the generator minimizes.

        Args:
            fake_logits: Tensor of any shape, outputs for images of the generator.

        Returns:
            Scalar tensor.
        """
        raise TypeError(f"{type(self).__name__} must define `generator`.")


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Hinge(AdversarialLoss):
    """D: mean max(0, 1 − D(x)) + mean max(0, 1 + D(G(z))). G: −mean D(G(z)).

    Example:

    >>> float(Hinge().discriminator(ops.array([2.0, 0.5]), ops.array([-3.0, 0.0])))
    0.75

    Reference: Miyato, Kataoka, Koyama, Yoshida, "Spectral Normalization for Generative
    Adversarial Networks", 2018, arXiv:1802.05957.
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        return ops.mean(ops.relu(1.0 - real_logits)) + ops.mean(ops.relu(1.0 + fake_logits))

    def generator(self, fake_logits: Any) -> Any:
        return -ops.mean(fake_logits)


@keras.saving.register_keras_serializable(package="tfspecnorm")
class NonSaturating(AdversarialLoss):
    """D: mean softplus(−D(x)) + mean softplus(D(G(z))). G: mean softplus(−D(G(z))).

    The binary cross-entropy of logits, softplus(a) = log(1 + eᵃ). A
    discriminator that cannot tell the two apart has 2·log 2.

    Example:

    >>> round(float(NonSaturating().discriminator(ops.zeros(2), ops.zeros(2))), 4)
    1.3863

    Reference: Goodfellow and others, "Generative Adversarial Networks", 2014, arXiv:1406.2661.
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        return ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))

    def generator(self, fake_logits: Any) -> Any:
        return ops.mean(ops.softplus(-fake_logits))


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Wasserstein(AdversarialLoss):
    """D: mean D(G(z)) − mean D(x). G: −mean D(G(z)).

    The discriminator has to be kept Lipschitz, by its layers or by a gradient penalty.

    Example:

    >>> float(Wasserstein().discriminator(ops.array([2.0, 0.0]), ops.array([-3.0])))
    -4.0

    Reference: Arjovsky, Chintala, Bottou, "Wasserstein GAN", 2017, arXiv:1701.07875.
    """

    def discriminator(self, real_logits: Any, fake_logits: Any) -> Any:
        return ops.mean(fake_logits) - ops.mean(real_logits)

    def generator(self, fake_logits: Any) -> Any:
        return -ops.mean(fake_logits)


_NAMED = {"hinge": Hinge, "non-saturating": NonSaturating, "wasserstein": Wasserstein}


def get(identifier: Any) -> AdversarialLoss:
    """A loss from its name, or as it is.

    Args:
        identifier: `"hinge"`, `"non-saturating"`, `"wasserstein"`, or an object with the methods
            of `AdversarialLoss`.

    Returns:
        The loss.

    Raises:
        ValueError: If `identifier` is none of these.

    Example:

    >>> get("hinge")
    Hinge()
    """
    if isinstance(identifier, str) and identifier in _NAMED:
        return _NAMED[identifier]()
    methods = (getattr(identifier, name, None) for name in ("discriminator", "generator"))
    if not isinstance(identifier, type) and all(callable(method) for method in methods):
        return identifier
    names = ", ".join(f'"{name}"' for name in _NAMED)
    raise ValueError(
        f"Argument `loss` must be one of {names}, or an object with the methods `discriminator` "
        'and `generator`. Binary cross-entropy is "non-saturating". '
        f"Received: loss={identifier!r}"
    )
