package dev.pwl

/**
 * The result of one inference.
 *
 * @property logits one float32 value a class, before softmax, in the order of the labels of
 *   manifest.json.
 * @property stage the index of the stage that answered; see [Stage.index].
 */
public class Answer(public val logits: FloatArray, public val stage: Int)
