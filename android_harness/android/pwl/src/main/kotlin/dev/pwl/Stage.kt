package dev.pwl

/**
 * What serves a model's answers.
 *
 * @property index 0 is the student; the last stage is the whole teacher.
 * @property isFinal whether there is no later stage.
 * @property stopped why no later stage is being loaded, if something went wrong or was cancelled;
 *   the stage goes on serving. Null while all is well, also when loading ended as it was asked to.
 */
public data class Stage(
    public val index: Int,
    public val isFinal: Boolean,
    public val stopped: PwlException? = null
)
