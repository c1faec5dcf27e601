package dev.pwl

/** Why a model cannot do what it is asked. Each reason is a class; the message says what it hit. */
public sealed class PwlException(message: String, cause: Throwable? = null) :
    RuntimeException(message, cause) {

    /** Something was asked for that does not exist, such as a stage or an engine of this build. */
    public class Usage internal constructor(message: String) : PwlException(message)

    /** loading.plan or manifest.json is wrong or cut short. */
    public class InvalidPlan internal constructor(message: String) : PwlException(message)

    /** A file is not there, or not yet: [ProgressiveModel.addFolder] when its pack has arrived. */
    public class Missing internal constructor(message: String) : PwlException(message)

    /** A file is not what the plan says: damaged, half there, or of another release of the app. */
    public class Damaged internal constructor(message: String) : PwlException(message)

    /** A program that this release of the inference library cannot run. */
    public class Incompatible internal constructor(message: String) : PwlException(message)

    /** The inference library failed, or the app's own `mayLoad`, which is the [cause] then. */
    public class Failed internal constructor(message: String, cause: Throwable? = null) :
        PwlException(message, cause)

    /** The operating system refused. */
    public class Io internal constructor(message: String) : PwlException(message)

    /** Loading was cancelled, or the model was closed. */
    public class Cancelled internal constructor(message: String) : PwlException(message)
}
