package dev.pwl.test

import dev.pwl.Answer
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import dev.pwl.Stage
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.concurrent.thread
import kotlin.math.abs
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout

const val TOLERANCE = 1e-4f

/** A bundle with its golden answers, a folder to work in, and the bundle of the release before. */
class Fixture(
    val bundle: File,
    val library: String,
    private val work: File,
    val before: File = bundle
) {
    val units: List<File> = File(bundle, "units").listFiles()!!.sorted()
    val inputs: List<FloatArray>
    private val golden: List<FloatArray>

    init {
        val stages = File(bundle, "golden").listFiles()!!.filter { it.name.startsWith("stage-") }
        golden = stages.sortedBy { it.name }.map { floats(it) }
        val all = floats(File(bundle, "golden/inputs.f32"))
        inputs = all.toList().chunked(INPUT).map { it.toFloatArray() }
    }

    val last: Int
        get() = golden.size - 1

    fun options(advance: Boolean = true, mayLoad: ((Int) -> Boolean)? = null): Options =
        Options(liteRtLibrary = library, advance = advance, mayLoad = mayLoad)

    fun open(options: Options = options(), folder: File = bundle): ProgressiveModel =
        ProgressiveModel.open(folder, options)

    /** A new folder with the files of a bundle that are wanted, without what measures. */
    fun copy(name: String, from: File = bundle, wanted: (String) -> Boolean = { true }): File {
        val folder = File(work, name)
        folder.deleteRecursively()
        val files = listOf("loading.plan", "manifest.json").map { File(from, it) }
        for (file in files + File(from, "units").listFiles()!!) {
            val path = file.relativeTo(from).path
            if (wanted(path)) file.copyTo(File(folder, path))
        }
        return folder
    }

    fun unit(folder: File, name: String): File =
        File(folder, "units").listFiles()!!.single { it.name.startsWith("$name.") }

    /** The name of a unit's file without its ending, such as teacher-1. */
    fun isTeachers(path: String): Boolean = "teacher" in path || "encoder" in path

    fun file(name: String): File = File(work, name)

    fun requireGolden(answer: Answer, image: Int) {
        val wanted = golden[answer.stage]
        val size = answer.logits.size
        val worst = (0 until size).maxOf { abs(answer.logits[it] - wanted[image * size + it]) }
        check(worst < TOLERANCE) { "stage ${answer.stage}, image $image: off by $worst" }
    }

    /** Runs every golden input once, and gives the stages that answered. */
    fun runAll(model: ProgressiveModel): Set<Int> = inputs.indices
        .map { image ->
            val answer = model.run(inputs[image])
            requireGolden(answer, image)
            answer.stage
        }
        .toSet()

    companion object {
        const val INPUT = 64

        fun floats(file: File): FloatArray {
            val bytes = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN)
            return FloatArray(bytes.remaining() / 4).also { bytes.asFloatBuffer().get(it) }
        }
    }
}

/** Threads that infer until they are told to stop or their model is closed. */
class Inferring(private val fixture: Fixture, private val model: ProgressiveModel, count: Int) {
    private val stop = AtomicBoolean()
    private val errors = ConcurrentLinkedQueue<Throwable>()
    private val answered = CountDownLatch(count)
    private val threads =
        List(count) { number ->
            thread(name = "inferring-$number") {
                try {
                    var image = number % fixture.inputs.size
                    while (!stop.get()) {
                        fixture.requireGolden(model.run(fixture.inputs[image]), image)
                        answered.countDown()
                        image = (image + 1) % fixture.inputs.size
                    }
                } catch (closed: IllegalStateException) {
                    if (closed.message != "the model is closed") errors += closed
                } catch (error: Throwable) {
                    errors += error
                }
                answered.countDown()
            }
        }

    /** Returns when each of them has answered or failed. */
    fun awaitAnswers() = answered.await()

    /** Ends them; throws what went wrong in any of them. */
    fun end() {
        stop.set(true)
        threads.forEach { it.join() }
        errors.firstOrNull()?.let { throw it }
    }
}

fun ProgressiveModel.awaitIndex(index: Int) = awaited { it.index == index }

fun ProgressiveModel.awaitStop() = awaited { it.stopped != null }.stopped!!

private fun ProgressiveModel.awaited(wanted: (Stage) -> Boolean): Stage =
    runBlocking { withTimeout(60_000) { stage.first(wanted) } }

inline fun <reified E : Throwable> refused(call: () -> Unit): E {
    try {
        call()
    } catch (error: Throwable) {
        return error as? E ?: throw error
    }
    error("nothing was refused")
}

fun ProgressiveModel.closeAndWait() {
    close()
    awaitClosed()
}

/** Gives a model to a block and waits until its memory is given back. */
inline fun <T> ProgressiveModel.using(block: (ProgressiveModel) -> T): T = try {
    block(this)
} finally {
    closeAndWait()
}
