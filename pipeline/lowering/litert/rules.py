"""What LiteRT's XNNPACK delegate does not take, rewritten in what it takes."""

from __future__ import annotations

import torch

from pipeline.lowering.rewrite import Rules
from pipeline.lowering.rules import (
    arrange,
    attention,
    elementwise,
    lookup,
    patches,
    reduce,
    resize,
    sequence,
    shuffle,
    spatial,
)

aten = torch.ops.aten

#: Of signals, in terms of images: before all others.
SIGNAL_RULES: Rules = {
    aten.adaptive_max_pool1d.default: sequence.adaptive_signal_max,
    aten.max_pool1d.default: sequence.padded_signal_max,
}

RULES: Rules = {
    aten._upsample_bicubic2d_aa.vec: resize.smooth,
    aten._upsample_bilinear2d_aa.vec: resize.smooth,
    aten._upsample_nearest_exact2d.vec: resize.nearest_selected,
    aten.adaptive_avg_pool2d.default: spatial.adaptive_average,
    aten.adaptive_max_pool2d.default: spatial.adaptive_max,
    aten.add.Tensor: elementwise.addition,
    aten.avg_pool2d.default: spatial.padded_average,
    aten.baddbmm.default: attention.sum_with_product_with_one,
    aten.bmm.default: attention.product_with_one,
    aten.cat.default: arrange.concatenation,
    aten.celu.default: elementwise.celu,
    aten.clamp.default: elementwise.from_zero_to_one,
    aten.clamp_max.default: elementwise.from_zero_to_one,
    aten.clamp_min.default: elementwise.from_zero_to_one,
    aten.clip.default: elementwise.from_zero_to_one,
    aten.col2im.default: patches.image_of_patches,
    aten.elu.default: elementwise.elu,
    aten.embedding.default: lookup.embedding,
    aten.expand.default: arrange.expand_by_copies,
    aten.expand_as.default: arrange.expand_by_copies,
    aten.gelu.default: elementwise.before_permutation,
    aten.hardtanh.default: elementwise.from_zero_to_one,
    aten.hardswish.default: elementwise.before_permutation,
    aten.im2col.default: patches.image_patches,
    aten.index.Tensor: spatial.listed,
    aten.index_select.default: spatial.indexed,
    aten.leaky_relu.default: elementwise.leaky_relu,
    aten.lerp.Scalar: elementwise.between,
    aten.lerp.Tensor: elementwise.between,
    aten.log_sigmoid.default: elementwise.log_sigmoid,
    aten.log_softmax.int: reduce.log_softmax,
    aten.logsumexp.default: reduce.log_sum_exp,
    aten.masked_fill.Scalar: attention.filled,
    aten.masked_fill.Tensor: attention.filled,
    aten.matmul.default: attention.product_with_one,
    aten.max_pool2d.default: spatial.max_pooling,
    aten.mish.default: elementwise.mish,
    aten.pad.default: spatial.padding,
    aten.pixel_unshuffle.default: spatial.pixel_unshuffle,
    aten.permute.default: shuffle.tokens_of_images,
    aten.pow.Scalar: elementwise.exponential,
    aten.pow.Tensor_Scalar: elementwise.power,
    aten.reflection_pad2d.default: spatial.reflection,
    aten.relu.default: elementwise.from_zero_to_one,
    aten.repeat.default: arrange.repeat,
    aten.repeat_interleave.self_int: arrange.repeat_interleave_by_copies,
    aten.replication_pad2d.default: spatial.replication,
    aten.reshape.default: shuffle.shuffled_channels_or_images_of_tokens,
    aten.rrelu.default: elementwise.leaky_relu_of_rrelu,
    aten.scaled_dot_product_attention.default: attention.masked_scaled_dot_product,
    aten.selu.default: elementwise.selu,
    aten.slice.Tensor: spatial.strided_slice,
    aten.softplus.default: elementwise.softplus,
    aten.softshrink.default: elementwise.soft_shrink,
    aten.sub.Tensor: elementwise.subtraction,
    aten.transpose.int: shuffle.tokens_of_images,
    aten.unfold.default: patches.axis_windows,
    aten.upsample_bicubic2d.vec: resize.smooth,
    aten.upsample_bilinear2d.vec: resize.bilinear,
    aten.upsample_nearest2d.vec: resize.nearest_selected,
    aten.where.Scalar: attention.selected,
    aten.where.ScalarOther: attention.selected,
    aten.where.ScalarSelf: attention.selected,
    aten.where.self: attention.selected,
}
