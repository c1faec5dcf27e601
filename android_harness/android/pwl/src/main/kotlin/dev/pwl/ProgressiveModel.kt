package dev.pwl

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.locks.ReentrantLock
import java.util.concurrent.locks.ReentrantReadWriteLock
import kotlin.concurrent.read
import kotlin.concurrent.thread
import kotlin.concurrent.withLock
import kotlin.concurrent.write
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.suspendCancellableCoroutine

/**
 * A classifier that answers at once with its student, and becomes its teacher block by block.
 *
 * ```
 * val model = ProgressiveModel.open(folder)    // the student is loaded: off the main thread
 * val answer = model.run(input)                // any time, from any thread
 * model.stage.collect { show(it) }             // how far it is, and why it stopped
 * model.close()
 * ```
 *
 * **Threads.** Every member may be called from every thread. Inferences take turns. Loading happens
 * on one thread, `pwl-loader`, at background priority; it is the one that `mayLoad` is called on.
 * [open] and [run] take as long as loading the student and inferring: keep them off the main
 * thread. No other member blocks, but [awaitClosed].
 *
 * **Failures.** What is missing, damaged or unfit leaves the stage that serves in service, and
 * [stage] says why. A closed model throws IllegalStateException.
 */
public class ProgressiveModel
private constructor(
    private val handle: Long,
    private val callbacks: NativeCallbacks
) : AutoCloseable {
    private val lifetime = ReentrantReadWriteLock() // held for reading while the handle is used
    private val closing = AtomicBoolean()
    private val destroyed = CountDownLatch(1)
    private val sizes = IntArray(3)
    private val building = ReentrantLock() // held while weight caches are being built

    @Volatile private var goal = 0

    /** Floats of one input: one image in the layout of manifest.json, batch of one, normalized. */
    public val inputSize: Int
        get() = sizes[0]

    /** Floats of one answer: one of each class; of a label map, as many of each pixel. */
    public val classes: Int
        get() = sizes[1]

    /** How many stages there are. */
    public val stages: Int
        get() = sizes[2]

    /**
     * The stage that serves. A slow collector sees the newest one, and may miss others. One on
     * `Dispatchers.Unconfined` is called on `pwl-loader`, and must not block it; what it throws ends
     * itself alone.
     */
    public val stage: StateFlow<Stage> = callbacks.state.asStateFlow()

    /**
     * Runs one inference. Blocks for it and for those before it.
     *
     * @param input [inputSize] float32 values, copied.
     * @throws IllegalArgumentException for another number of values.
     * @throws PwlException if no stage can answer.
     */
    public fun run(input: FloatArray): Answer {
        require(input.size == inputSize) { "given ${input.size} floats instead of $inputSize" }
        val logits = FloatArray(classes)
        return Answer(logits, infer { NativeModel.run(it, input, logits) })
    }

    /**
     * Runs one inference without allocating anything. Blocks for it and for those before it.
     *
     * @param input a direct buffer in native byte order; the [inputSize] float32 values between its
     *   position and its limit, at a multiple of 4 in memory, are read in place. Nobody may write to
     *   it meanwhile. Its position stays.
     * @param logits receives [classes] values.
     * @return the index of the stage that answered.
     * @throws IllegalArgumentException for a buffer or an array that does not fit.
     * @throws PwlException if no stage can answer.
     */
    public fun run(input: ByteBuffer, logits: FloatArray): Int {
        require(input.isDirect) { "the buffer is not direct: ByteBuffer.allocateDirect makes one" }
        require(input.order() == ByteOrder.nativeOrder()) {
            "the buffer is not in native order: buffer.order(ByteOrder.nativeOrder())"
        }
        // Read once: another thread that moves it must not have memory read beyond the buffer.
        val begin = input.position()
        val given = input.limit() - begin
        val bytes = inputSize * Float.SIZE_BYTES
        require(given == bytes) { "given $given bytes instead of $bytes" }
        require(logits.size == classes) { "room for ${logits.size} logits instead of $classes" }
        return infer { NativeModel.runDirect(it, input, begin, inputSize, logits) }
    }

    /**
     * Begins to load the later stages, or goes on where loading stopped. Does not block.
     *
     * @param upTo the stage where loading ends; while loading goes on, it changes where that is.
     * @throws PwlException.Usage if there is no such stage.
     */
    public fun advance(upTo: Int = stages - 1): Unit = use {
        if (upTo !in 0 until stages) {
            throw PwlException.Usage("there is no stage $upTo: the model has $stages")
        }
        callbacks.stopped(null)
        goal = upTo
        NativeModel.advance(it, upTo)
    }

    /**
     * Begins to go back to an earlier stage, and gives the memory of later ones back when their last
     * inference has ended. Does not block. [advance] goes up again.
     *
     * @throws PwlException.Usage if there is no such stage.
     */
    public fun retreat(to: Int = 0): Unit = use {
        NativeModel.retreat(it, to)
        goal = minOf(goal, to)
    }

    /** Ends loading at the stage that serves. Does not block. [advance] goes on from there. */
    public fun cancel(): Unit = use {
        goal = 0
        NativeModel.cancel(it)
        if (!stage.value.isFinal) callbacks.stopped(PwlException.Cancelled("loading was cancelled"))
    }

    /**
     * Adds a folder where files of the bundle are, such as a pack that has arrived, and goes on
     * loading as far as was asked for, unless it was cancelled or taken back. A folder counts more
     * than those that were added earlier. Does not block.
     */
    public fun addFolder(folder: File): Unit = use {
        NativeModel.addFolder(it, folder.utf8())
        if (goal > 0) advance(goal)
    }

    /**
     * Suspends until a stage serves. May be cancelled like every suspending function; loading goes
     * on then.
     *
     * @return the stage, or a later one.
     * @throws PwlException the reason why loading stopped before.
     */
    public suspend fun awaitStage(index: Int): Stage {
        val found = stage.first { it.index >= index || it.stopped != null }
        found.stopped?.let { if (found.index < index) throw it }
        return found
    }

    /**
     * Builds the weight caches that are missing, on a thread of its own at background priority, and
     * suspends meanwhile. To be called when nobody waits for the app: it loads every program of the
     * bundle once more, one after the other. A second call waits for the first, and finds what that
     * has built; with [install], and with another process of the app, it takes turns. Being cancelled
     * ends it before the next program, and so does [close]: then it throws IllegalStateException.
     *
     * @throws PwlException.Usage if the model was opened without [Options.weightCaches].
     */
    public suspend fun buildWeightCaches(): WeightCaches.Built =
        suspendCancellableCoroutine { waiting ->
            thread(name = "pwl-caches", isDaemon = true) {
                waiting.resumeWith(runCatching { buildCachesWhile { waiting.isActive } })
            }
        }

    /**
     * Ends the model's use. Does not block: a thread of its own waits for the inferences and the
     * program that are under way, and gives the memory back. Other calls are refused from now on.
     */
    override fun close() {
        if (!closing.compareAndSet(false, true)) return
        NativeModel.cancel(handle)
        val closed = PwlException.Cancelled("the model was closed")
        callbacks.stopped(closed)
        thread(name = "pwl-close", isDaemon = true) {
            lifetime.write { NativeModel.destroy(handle) }
            callbacks.stopped(closed) // again: a call that had begun before may have said otherwise
            destroyed.countDown()
        }
    }

    /**
     * Blocks until a model that was closed has given back its memory and its files. Not for
     * `mayLoad`, nor for a thread that is inside of [run].
     */
    public fun awaitClosed(): Unit = destroyed.await()

    private inline fun infer(call: (Long) -> Int): Int = use(call).also { callbacks.catchUp() }

    private inline fun <T> use(call: (Long) -> T): T {
        requireOpen() // at once, also while close waits for the others
        return lifetime.read {
            requireOpen()
            call(handle)
        }
    }

    private fun requireOpen() {
        check(!closing.get()) { "the model is closed" }
    }

    private inline fun buildCachesWhile(wanted: () -> Boolean): WeightCaches.Built =
        building.withLock {
            val outcomes = IntArray(3)
            val programs = use { NativeModel.beginCaches(it) }
            try {
                var program = 0
                while (program < programs && wanted()) {
                    val outcome = use { buildCache(it, program) }
                    if (outcome == BUSY) {
                        Thread.sleep(LOOK_MS)
                    } else {
                        outcomes[outcome]++
                        program++
                    }
                }
            } finally {
                // What is closed gives it back itself.
                lifetime.read { if (!closing.get()) NativeModel.endCaches(handle) }
            }
            WeightCaches.Built(there = outcomes[0], built = outcomes[1], without = outcomes[2])
        }

    private fun buildCache(handle: Long, program: Int): Int = try {
        NativeModel.buildCache(handle, program)
    } catch (_: PwlException) {
        2 // its file is not there, or not whole: loading it says so to whoever asks for it
    }

    private fun start(options: Options, files: BundleFiles) {
        options.engine?.let { engine ->
            val manifest = BundleManifest.parse(files.manifest())
            val threads = if (options.threads > 0) options.threads else manifest.threads
            val native = NativeEngine(engine, threads, manifest.shapes)
            engine.copies.mkdirs()
            val version = engine.version.toByteArray()
            NativeModel.useEngine(handle, native, version, engine.copies.utf8())
        }
        NativeModel.start(
            handle,
            options.threads,
            options.liteRtLibrary.toByteArray(),
            options.verify,
            files.stamps(options),
            callbacks,
            sizes
        )
        callbacks.last = stages - 1
        callbacks.state.value = Stage(index = 0, isFinal = stages == 1)
        if (options.advance) advance()
    }

    public companion object {
        // Another process builds in the folder; how often it is looked whether that is still so.
        private const val BUSY = 3
        private const val LOOK_MS = 50L

        /**
         * Opens a bundle that lies in a folder, and loads its student. Blocks as long as that takes.
         *
         * @throws PwlException if the student cannot be loaded.
         */
        @JvmStatic
        @JvmOverloads
        public fun open(folder: File, options: Options = Options()): ProgressiveModel =
            open(emptyList(), listOf(folder), options)

        /**
         * Opens a bundle whose files are in several places, and loads its student. Blocks as long as
         * that takes.
         *
         * @param slices files that came with the app. They count more than those in folders.
         * @param folders packs that have arrived already; [addFolder] adds others later.
         * @throws PwlException if the student cannot be loaded.
         */
        @JvmStatic
        @JvmOverloads
        public fun open(
            slices: List<FileSlice>,
            folders: List<File> = emptyList(),
            options: Options = Options()
        ): ProgressiveModel = open(BundleFiles(slices, folders), options)

        internal fun open(files: BundleFiles, options: Options): ProgressiveModel =
            files.withHandle(options) { handle ->
                val model = ProgressiveModel(handle, NativeCallbacks(options.mayLoad))
                model.start(options, files)
                model
            }
    }
}
