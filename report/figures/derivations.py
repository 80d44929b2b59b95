"""What is derived, topic by topic: symbols alone, and no number that was measured."""

from typing import NamedTuple


class Derivation(NamedTuple):
    """What is derived, and the steps: what is assumed or done, and what follows, in LaTeX."""

    heading: str
    steps: tuple[tuple[str, str], ...]


DERIVATIONS = {
    "scaled-dot-products": Derivation(
        "Why scores are divided by √d_k",
        (
            (
                "The components of q and k are independent, of mean zero and unit variance.",
                r"\operatorname{Var}(q \cdot k) = \sum_{i=1}^{d_k} \mathbb{E}[q_i^2]"
                r"\,\mathbb{E}[k_i^2] = d_k",
            ),
            (
                "A division divides the variance by its square.",
                r"\operatorname{Var}\left(\frac{q \cdot k}{\sqrt{d_k}}\right) = 1",
            ),
        ),
    ),
    "softmax-saturation": Derivation(
        "What large scores do to the softmax",
        (
            (
                "A saturated softmax has no slope.",
                r"\frac{\partial p_i}{\partial s_j} = p_i (\delta_{ij} - p_j), \qquad"
                r" \sum_i \frac{\partial p_i}{\partial s_i} = 1 - \sum_i p_i^2",
            ),
            (
                "Take n normal scores of standard deviation σ. While they spread little, numerator"
                " and denominator can be averaged apart; x is the largest of n standard normals.",
                r"\sigma < \tfrac{1}{2}\sqrt{2 \ln n}: \qquad \mathbb{E} \sum_i p_i^2 \approx"
                r" \frac{n e^{2\sigma^2}}{(n e^{\sigma^2/2})^2} = \frac{e^{\sigma^2}}{n}, \qquad"
                r" \mathbb{E} \max_i p_i \approx \frac{\mathbb{E}\, e^{\sigma x}}"
                r"{n e^{\sigma^2/2}}",
            ),
            (
                "Where they spread much, the two largest share all weight (the random energy model"
                " in its frozen phase, Derrida 1981). Only gaps between them that are near zero"
                " count; f is the density there of the gap between standard normals.",
                r"f = n (n - 1) \int \varphi(x)^2\, \Phi(x)^{n-2}\, dx",
            ),
            (
                "The larger has the weight p, a logistic function of the gap g.",
                r"\sigma > \sqrt{2 \ln n}: \qquad \mathbb{E}\left[1 - \sum_i p_i^2\right] \approx"
                r" \frac{f}{\sigma} \int_0^\infty 2 p (1 - p)\, dg = \frac{f}{\sigma}, \qquad"
                r" \mathbb{E} \max_i p_i \approx 1 - \frac{f}{\sigma} \int_0^\infty (1 - p)\, dg"
                r" = 1 - \frac{f \ln 2}{\sigma}",
            ),
            (
                "Between the two, nothing is predicted. Unscaled and scaled scores have",
                r"\sigma = \sqrt{d_k} \qquad \text{and} \qquad \sigma = 1",
            ),
        ),
    ),
    "head-cost": Derivation(
        "What several heads cost",
        (
            (
                "Each of h heads has its queries, keys, values and its share of the output; all"
                " four have biases.",
                r"h \cdot 4\, d\, d_k + 4 d = 4 d^2 + 4 d \qquad \text{with} \qquad"
                r" d_k = \frac{d}{h}",
            ),
            (
                "FLOPs per token of a sequence of n: two for each weight, and for each entry of"
                " the two products of each head. The number of heads falls out of both.",
                r"2 \cdot 4 d^2 + h \cdot 4 n d_k = 8 d^2 + 4 n d",
            ),
        ),
    ),
    "permutation": Derivation(
        "Attention does not know the order",
        (
            (
                "A permutation P of the rows of X permutes rows and columns of the scores, and the"
                " softmax of a row does not care about its order.",
                r"\operatorname{softmax}\left(P S P^\top\right) = P \operatorname{softmax}(S)\,"
                r" P^\top",
            ),
            (
                "The values are permuted alike, and P meets its inverse.",
                r"A(P X) = P \operatorname{softmax}(S)\, P^\top P X W_V W_O = P A(X)",
            ),
        ),
    ),
    "residual-path": Derivation(
        "What the residual path does for the gradient",
        (
            (
                "Let a layer's Jacobian J have independent entries of mean zero, and a gain g.",
                r"\operatorname{Var}(J_{ij}) = \frac{g^2}{d}, \qquad"
                r" \mathbb{E} \left\lVert J^\top v \right\rVert^2 = g^2 \lVert v \rVert^2, \qquad"
                r" \mathbb{E} \left[ v^\top J^\top v \right] = 0",
            ),
            (
                "L such layers, one after the other, without and with a residual connection; the"
                " table and the figure have the square root.",
                r"\mathbb{E} \left\lVert \prod_l J_l^\top v \right\rVert^2 = g^{2L}"
                r" \lVert v \rVert^2, \qquad"
                r" \mathbb{E} \left\lVert \prod_l (I + J_l)^\top v \right\rVert^2 ="
                r" \left(1 + g^2\right)^L \lVert v \rVert^2",
            ),
            (
                "A gain that shrinks with depth, which is what GPT-2's initialisation is for,"
                " bounds the growth.",
                r"g = \frac{1}{\sqrt{L}}: \qquad \left(1 + \frac{1}{L}\right)^L < e",
            ),
        ),
    ),
    "factorisation": Derivation(
        "A causal network's probabilities sum to one",
        (
            (
                "Each factor sums to one over its own symbol, whatever came before. Sum over the"
                " last symbol first: its factor is the only one that depends on it.",
                r"\sum_{x_2, \ldots, x_T} \prod_{t=2}^{T} p(x_t \mid x_{<t}) ="
                r" \sum_{x_2, \ldots, x_{T-1}} \prod_{t=2}^{T-1} p(x_t \mid x_{<t})"
                r" \sum_{x_T} p(x_T \mid x_{<T}) = \ldots = 1",
            ),
            (
                "Where a factor looks ahead, it cannot be taken out of the sum, and the product is"
                " no distribution; what it sums to is not derived.",
                r"p(x_t \mid x_{<t}, x_{>t})",
            ),
        ),
    ),
    "quadratic-cost": Derivation(
        "When attention's products overtake the rest of a layer",
        (
            (
                "Scores and weighted means of n tokens, counted in full; a causal kernel may spare"
                " half.",
                r"2 n^2 d + 2 n^2 d = 4 n^2 d",
            ),
            (
                "Projections and feed-forward network, and the length at which the two are equal.",
                r"2 n \left(4 d^2 + 2\, d\, d_{\mathrm{ff}}\right) = 24\, n d^2 \quad"
                r" (d_{\mathrm{ff}} = 4 d), \qquad 4 n^2 d = 24\, n d^2 \;\Leftrightarrow\;"
                r" n = 6 d",
            ),
        ),
    ),
    "parameter-counts": Derivation(
        "Where the parameters are",
        (
            (
                "N layers in the encoder, with one attention, and N in the decoder, with two.",
                r"\text{attention: } 3 N \left(4 d^2 + 4 d\right), \qquad"
                r" \text{feed-forward: } 2 N \left(2\, d\, d_{\mathrm{ff}} + d_{\mathrm{ff}}"
                r" + d\right)",
            ),
            (
                "A norm for each sublayer, and one embedding for V word pieces, or three matrices"
                " where source, target and output share none.",
                r"\text{norms: } 5 N \cdot 2 d, \qquad \text{embeddings: } V d"
                r" \quad \text{or} \quad 3 V d",
            ),
        ),
    ),
}
