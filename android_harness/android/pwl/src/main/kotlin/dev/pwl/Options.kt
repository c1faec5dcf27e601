package dev.pwl

import java.io.File

/**
 * How a model is opened.
 *
 * @property threads that one inference uses, up to 64; 0: as many as the bundle says. ExecuTorch has one
 *   thread pool in a process: models that are open at the same time and use more than one thread need
 *   the same number.
 * @property verify whether the SHA-256 of every file is checked before it is loaded. Without it,
 *   a file of the right size passes, also one of another release of the app; not so a program that
 *   is copied out of an APK for an [engine], because the copy stays.
 * @property verifiedFiles where it is remembered which files were verified, so that the next start
 *   need not read them whole: a file in a folder of the app's own. Null: verified at every start.
 * @property weightCaches where packed weights are kept for the next start. Null: nowhere.
 * @property engine an inference library that is called from Kotlin, such as
 *   [dev.pwl.executorch.ModuleEngine]; needs manifest.json, and knows no weight caches. Null: the one
 *   in C++ that the bundle names.
 * @property liteRtLibrary libLiteRt.so: a path, or a name that the dynamic linker finds. Needed for
 *   bundles of LiteRT alone.
 * @property advance whether the later stages begin to load by themselves: when the student has given
 *   its first answer, or a tenth of a second after it could have.
 * @property mayLoad asked before each later stage is loaded, on the loading thread; may block, for
 *   instance until the app is in the foreground. False ends loading at the stage before, and
 *   [ProgressiveModel.advance] goes on. What it throws is the reason of [Stage.stopped]. A model
 *   that is closed does not wait for it.
 */
public class Options(
    public val threads: Int = 0,
    public val verify: Boolean = true,
    public val verifiedFiles: File? = null,
    public val weightCaches: WeightCaches? = null,
    public val engine: KotlinEngine? = null,
    public val liteRtLibrary: String = "libLiteRt.so",
    public val advance: Boolean = true,
    public val mayLoad: ((stage: Int) -> Boolean)? = null
) {
    init {
        require(threads == 0 || threads in THREADS) { "$threads threads are not within $THREADS" }
        require(engine == null || weightCaches == null) { "a KotlinEngine keeps no weight caches" }
    }

    internal companion object {
        /** Of one inference, as in a plan. */
        val THREADS = 1..64
    }
}
