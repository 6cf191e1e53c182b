"""Adam and its kin: steps of the size of the gradient's first moment over its second one's root."""

from __future__ import annotations

from .. import config
from ..arrays import Variable, devices, dtypes
from ..ops import optimizer as rules
from .rule_optimizer import RuleOptimizer
from .settings import check_number, with_shared_settings


class Moments(RuleOptimizer):
    """What Adam's kin share: two slots for each weight, and how they are named."""

    slot_names = ("momentum", "velocity")

    def __init__(self, learning_rate, beta_1, beta_2, epsilon, **kwargs):
        super().__init__(learning_rate, **kwargs)
        for name, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            check_number(type(self).__name__, name, value, 0.0, 1.0)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables) -> None:
        """Make the slots: two moments for each weight."""
        if self.built:
            return
        super().build(variables)
        made = self.add_optimizer_variables(variables, self.slot_names)
        self._momentums, self._velocities = made

    @property
    def _moments(self):
        return self._momentums, self._velocities

    def _numbers(self, learning_rate, **more) -> dict:
        """What all rules with two moments take."""
        return {
            "learning_rate": learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            **more,
        }


class Adam(Moments):
    """w - lr m / (sqrt(v) + epsilon), with m the mean of g and v the mean of g^2.

    Both means start at 0; lr is the learning rate times sqrt(1 - beta_2^t) / (1 - beta_1^t), t the
    step, which makes up for that.

    Args:
        learning_rate: 0.001.
        beta_1: share of m that each step keeps, 0 to 1.
        beta_2: share of v that each step keeps, 0 to 1.
        epsilon: small number beside the root.
        amsgrad: divide by the root of the largest v so far (Reddi et al. 2018).
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Kingma and Ba 2014, https://arxiv.org/abs/1412.6980; epsilon as in its section 2.
    """

    @with_shared_settings
    def __init__(
        self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, **kwargs
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.amsgrad = amsgrad

    def build(self, variables) -> None:
        """Make the slots: two moments for each weight, and with AMSGrad the second one's peak."""
        if self.built:
            return
        super().build(variables)
        named = "velocity_hat"
        self._velocity_hats = self.add_optimizer_variables(variables, named) if self.amsgrad else []

    def _rule(self, kind, learning_rate):
        return rules.adam, (*self._moments, self._velocity_hats), self._numbers(learning_rate)


class AdamW(Adam):
    """Adam with decoupled weight decay: each step first takes lr * weight_decay * w away.

    Args:
        learning_rate: 0.001.
        weight_decay: 0.004.
        beta_1, beta_2, epsilon, amsgrad: as in `Adam`.
        shared: the settings of all optimizers, see `Optimizer`.

    Raises ValueError if `weight_decay` is None.
    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101
    """

    @with_shared_settings
    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        **kwargs,
    ):
        if weight_decay is None:
            raise ValueError("AdamW: weight_decay must be a number, got None; Adam has none.")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )


class Adamax(Moments):
    """Adam with the largest |g|, u = max(beta_2 u, |g|): w - lr / (1 - beta_1^t) m / (u + epsilon).

    Args:
        learning_rate: 0.001.
        beta_1: share of the mean m that each step keeps, 0 to 1.
        beta_2: share of u that each step keeps, 0 to 1.
        epsilon: small number beside u.
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Kingma and Ba 2014, section 7, https://arxiv.org/abs/1412.6980
    """

    slot_names = ("momentum", "norm")

    @with_shared_settings
    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)

    def _rule(self, kind, learning_rate):
        return rules.adamax, self._moments, self._numbers(learning_rate)


class Nadam(Moments):
    """Adam with Nesterov's momentum, which grows as beta_1 (1 - 0.96^t / 2).

    Args:
        learning_rate: 0.001.
        beta_1: share of the mean m that each step keeps, 0 to 1.
        beta_2: share of the mean of squares v that each step keeps, 0 to 1.
        epsilon: small number beside the root of v.
        shared: the settings of all optimizers, see `Optimizer`.

    Source: Dozat 2015, http://cs229.stanford.edu/proj2015/054_report.pdf
    """

    @with_shared_settings
    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)

    def build(self, variables) -> None:
        """Make the slots: two moments for each weight, and the product of all momentums so far."""
        if self.built:
            return
        super().build(variables)
        dtype = dtypes.name(variables[0].dtype) if variables else config.floatx()
        dtype = "float32" if dtype in dtypes.SHORT_FLOATS else dtype
        with devices.scope(self._home or devices.current()):
            self._u_product = Variable(
                1.0, dtype=dtype, trainable=False, path=f"{self.name}/product"
            )

    def _advance(self, product=None) -> None:
        now = self._u_product
        if product is None:
            factor = rules.nadam_momentum(self._updates_made() + 1, self.beta_1, now)
            product = now._value * factor
        now.assign(product)

    def _rule(self, kind, learning_rate):
        product = self._u_product._value
        return rules.nadam, self._moments, self._numbers(learning_rate, product=product)
