package dev.pwl

import java.io.File
import kotlin.concurrent.thread
import kotlinx.coroutines.suspendCancellableCoroutine

/**
 * What [install] does next.
 *
 * @property number steps that were done before.
 * @property steps of all.
 * @property file of a program, as the bundle names it, such as `units/student-0.pte`.
 * @property packs whether its weight cache is built; else its SHA-256 is checked.
 */
public data class InstallStep(
    public val number: Int,
    public val steps: Int,
    public val file: String,
    public val packs: Boolean
)

/**
 * What [install] did.
 *
 * @property hashed programs whose file was hashed, and is what the plan says.
 * @property known programs whose file had been hashed before, and has not changed since.
 * @property weightCaches zeros without [Options.weightCaches].
 */
public data class Installed(
    public val hashed: Int,
    public val known: Int,
    public val weightCaches: WeightCaches.Built
)

/**
 * Prepares a bundle in a folder for its next start, once its files have arrived and nobody waits for
 * the app, as in a worker of WorkManager: hashes every program and remembers it in
 * [Options.verifiedFiles], then builds the caches of [Options.weightCaches] that are missing. With
 * the same options, [ProgressiveModel.open] then has nothing left to hash or to pack.
 *
 * Suspends, and works on a thread of its own at background priority, `pwl-install`, one file at a
 * time. Being cancelled ends it before the next file; files and caches are whole at every moment, and
 * what was done is not done again: a second call has next to nothing to do. Several at once do not
 * disturb each other. A model may be open meanwhile.
 *
 * @param options those that the model is opened with. Files are hashed whatever [Options.verify]
 *   says.
 * @param onStep told of each step before it is done, on `pwl-install`, and again while somebody
 *   else builds in the same folder of caches. May block, for instance until the app is idle again.
 *   What it throws ends the installing, and is thrown.
 * @throws PwlException.Missing if a file is not there, [PwlException.Damaged] if one is not what the
 *   plan says: the message names each of them.
 * @throws PwlException.Io if what was done cannot be written down.
 * @throws IllegalArgumentException if the options say neither where verified files are remembered nor
 *   where weight caches are kept.
 */
public suspend fun ProgressiveModel.Companion.install(
    folder: File,
    options: Options,
    onStep: ((InstallStep) -> Unit)? = null
): Installed = installFiles(BundleFiles(emptyList(), listOf(folder)), options, onStep)

/**
 * The same for a bundle whose files are in several places.
 *
 * @param slices files that came with the app. They count more than those in folders.
 * @param folders packs that have arrived: all of them.
 */
public suspend fun ProgressiveModel.Companion.install(
    slices: List<FileSlice>,
    folders: List<File>,
    options: Options,
    onStep: ((InstallStep) -> Unit)? = null
): Installed = installFiles(BundleFiles(slices, folders), options, onStep)

internal suspend fun installFiles(
    files: BundleFiles,
    options: Options,
    onStep: ((InstallStep) -> Unit)?
): Installed {
    val stamps = files.stamps(options)
    require(stamps.isNotEmpty() || options.weightCaches != null) {
        "nothing is kept without verifiedFiles or weightCaches"
    }
    // The handle now: whoever is cancelled may close what the slices are in.
    val handle = files.withHandle(options) { it }
    return suspendCancellableCoroutine { waiting ->
        try {
            // Waits for `pwl-install`, which works.
            thread(name = "pwl-join", isDaemon = true) {
                val steps = NativeSteps(onStep) { waiting.isActive }
                waiting.resumeWith(runCatching { installed(handle, options, stamps, steps) })
            }
        } catch (error: Throwable) { // no thread is to be had
            NativeModel.destroy(handle)
            throw error
        }
    }
}

private fun installed(
    handle: Long,
    options: Options,
    stamps: ByteArray,
    steps: NativeSteps
): Installed {
    val counts = IntArray(5)
    try {
        NativeModel.install(
            handle,
            options.threads,
            options.liteRtLibrary.toByteArray(),
            stamps,
            steps,
            counts
        )
    } catch (cancelled: PwlException.Cancelled) {
        throw steps.thrown ?: cancelled
    } finally {
        NativeModel.destroy(handle)
    }
    val (hashed, known, built, there, without) = counts
    return Installed(hashed, known, WeightCaches.Built(built, there, without))
}

/** Asked by C++ before each step, by name and without exceptions. */
internal class NativeSteps(
    private val onStep: ((InstallStep) -> Unit)?,
    private val wanted: () -> Boolean
) {
    @Volatile var thrown: Throwable? = null

    fun mayGoOn(number: Int, steps: Int, file: ByteArray, packs: Boolean): Boolean = try {
        if (wanted()) onStep?.invoke(InstallStep(number, steps, String(file), packs))
        wanted()
    } catch (error: Throwable) {
        thrown = error
        false
    }
}
