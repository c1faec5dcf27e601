package dev.pwl.bench

import dev.pwl.FileSlice
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import java.io.File
import java.io.FileDescriptor
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlinx.coroutines.runBlocking

/** The same runtime without Kotlin in between, and the process's clocks; see direct.cc. */
object Direct {
    init {
        System.loadLibrary("pwl_direct")
    }

    @JvmStatic external fun open(folder: ByteArray, library: ByteArray): Long

    @JvmStatic external fun load(handle: Long, stage: Int)

    /** Runs [count] inferences in C++; false after a failure. */
    @JvmStatic external fun run(handle: Long, input: ByteBuffer, floats: Int, count: Int): Boolean

    @JvmStatic external fun cpu(): Long

    @JvmStatic external fun allocated(): Long

    @JvmStatic external fun close(handle: Long)
}

/**
 * One way of doing the same as others.
 *
 * @property timed what is measured.
 * @property after ends what it began; not measured.
 */
private class Way(val timed: () -> Unit, val after: () -> Unit = {})

/**
 * Takes ways of doing the same in turns, another one first in each round, for so many seconds; a
 * fifth of them is a warm-up, in which Java compiles. Prints a line for each round: nanoseconds of
 * wall time and of the process's CPU time of each way, divided by [calls].
 */
private fun inTurns(seconds: Double, calls: Int, ways: List<Way>) {
    val begin = System.nanoTime()
    val warm = begin + (seconds * 1e9 / 5).toLong()
    val end = begin + (seconds * 1e9).toLong()
    var round = 0
    var measured = 0
    while (measured < FEWEST || System.nanoTime() < end) {
        val isMeasured = System.nanoTime() >= warm && round > 0
        val took = LongArray(2 * ways.size)
        for (turn in ways.indices) {
            val way = (turn + round) % ways.size
            val cpu = Direct.cpu()
            val wall = System.nanoTime()
            ways[way].timed()
            took[2 * way] = (System.nanoTime() - wall) / calls
            took[2 * way + 1] = (Direct.cpu() - cpu) / calls
            ways[way].after()
        }
        println("${if (isMeasured) "round" else "warm-up"} ${took.joinToString(" ")}")
        if (isMeasured) measured++
        round++
    }
}

private const val OPENINGS = 6

/** Rounds of a part, however long they take. */
private const val FEWEST = 6

/** Nanoseconds that a way takes in one round of calls: short, so that all meet the same machine. */
private const val PIECE = 20_000_000L

private class Bench(private val bundle: File, private val library: String) {
    private fun open() =
        ProgressiveModel.open(bundle, Options(liteRtLibrary = library, advance = false))

    private fun direct() = Direct.open(bundle.path.toByteArray(), library.toByteArray())
        .also { check(it != 0L) { "C++ cannot open the bundle" } }

    private fun ProgressiveModel.end() {
        close()
        awaitClosed()
    }

    /**
     * Calls at the first stage or the last one: in C++, by array, by direct buffer. Models are opened
     * anew several times, another one first each time: where in memory one lies makes a difference of
     * hundredths.
     */
    fun calls(isLast: Boolean, seconds: Double) {
        for (opening in 0 until OPENINGS) calls(isLast, seconds / OPENINGS, opening % 2 == 0)
    }

    private fun calls(isLast: Boolean, seconds: Double, isNativeFirst: Boolean) {
        val before = if (isNativeFirst) direct() else 0
        val model = open()
        val handle = if (isNativeFirst) before else direct()
        val stage = if (isLast) model.stages - 1 else 0
        model.advance(stage)
        runBlocking { model.awaitStage(stage) }
        Direct.load(handle, stage)
        val input = FloatArray(model.inputSize) { it % 7 / 7f }
        val buffer = input.toBuffer()
        val logits = FloatArray(model.classes)
        val native = { count: Int -> check(Direct.run(handle, buffer, input.size, count)) }
        native(10)
        val begin = System.nanoTime()
        native(10)
        val count = (10 * PIECE / (System.nanoTime() - begin)).toInt().coerceIn(1, 10_000)
        println("calls $count")
        val ways =
            listOf(
                Way({ native(count) }),
                Way({ repeat(count) { model.run(input) } }),
                Way({ repeat(count) { model.run(buffer, logits) } })
            )
        inTurns(seconds, count, ways)
        Direct.close(handle)
        model.end()
    }

    /** From opening to the first answer: in C++ and in Kotlin. */
    fun starts(seconds: Double) {
        val input = anInput()
        val buffer = input.toBuffer()
        var handle = 0L
        val native =
            Way(
                {
                    handle = direct()
                    check(Direct.run(handle, buffer, input.size, 1))
                },
                { Direct.close(handle) }
            )
        inTurns(seconds, 1, listOf(native, start(input) { open() }))
    }

    /**
     * From opening to the first answer, or to the last stage: out of a file where everything lies at
     * multiples of 16 and is mapped, and out of one where it lies 4 bytes further and is copied.
     */
    fun archives(isLast: Boolean, seconds: Double) {
        val input = anInput()
        val archives = listOf(0, 4).map { Archive(bundle, it) }
        val options = Options(liteRtLibrary = library, advance = false)
        val ways = archives.map { archive ->
            start(input, isLast) { ProgressiveModel.open(archive.slices, options = options) }
        }
        inTurns(seconds, 1, ways)
        archives.forEach { it.close() }
    }

    private fun anInput() = open().run { FloatArray(inputSize).also { end() } }

    private fun FloatArray.toBuffer(): ByteBuffer =
        ByteBuffer.allocateDirect(size * Float.SIZE_BYTES)
            .order(ByteOrder.nativeOrder())
            .also { it.asFloatBuffer().put(this) }

    private fun start(
        input: FloatArray,
        toTheLast: Boolean = false,
        open: () -> ProgressiveModel
    ): Way {
        lateinit var model: ProgressiveModel
        return Way(
            {
                model = open()
                model.run(input)
                if (toTheLast) {
                    model.advance()
                    runBlocking { model.awaitStage(model.stages - 1) }
                }
            },
            { model.end() }
        )
    }

    /**
     * Opens, climbs and closes. A line for every [EACH] times: how often so far, KB allocated, KB
     * resident, descriptors, threads.
     */
    fun cycles(most: Int, seconds: Double) {
        val input = anInput()
        val end = System.nanoTime() + (seconds * 1e9).toLong()
        for (cycle in 1..most) {
            val model = ProgressiveModel.open(bundle, Options(liteRtLibrary = library))
            model.run(input) // which loading would wait for
            runBlocking { model.awaitStage(model.stages - 1) }
            model.end()
            if (cycle % EACH != 0) continue
            System.gc()
            val status = File("/proc/self/status").readLines().map { it.split(Regex("\\s+")) }
            val of = { name: String -> status.single { it[0] == "$name:" }[1] }
            val allocated = Direct.allocated() / 1024
            val descriptors = File("/proc/self/fd").list()!!.size
            println("cycle $cycle $allocated ${of("VmRSS")} $descriptors ${of("Threads")}")
            if (System.nanoTime() > end) break
        }
    }
}

private const val EACH = 10

/** Plan and programs of a bundle in one file, each so many bytes behind a multiple of 16. */
private class Archive(bundle: File, askew: Int) : AutoCloseable {
    private val path = File.createTempFile("pwl", ".archive")
    private val file = RandomAccessFile(path, "rw")
    val slices: List<FileSlice>

    init {
        path.deleteOnExit()
        val files = listOf(File(bundle, "loading.plan")) + File(bundle, "units").listFiles()!!
        val descriptor = FileDescriptor::class.java.getDeclaredField("fd")
        descriptor.isAccessible = true
        slices =
            files.map { source ->
                val at = (file.length() + 15) / 16 * 16 + askew
                file.seek(at)
                file.write(source.readBytes())
                val name = source.relativeTo(bundle).path
                FileSlice(name, descriptor.getInt(file.fd), at, source.length())
            }
    }

    override fun close() {
        file.close()
        path.delete()
    }
}

/** Arguments: bundle, libLiteRt.so, most cycles, and parts, each as NAME=SECONDS. */
fun main(arguments: Array<String>) {
    val bench = Bench(File(arguments[0]), arguments[1])
    for (argument in arguments.drop(3)) {
        val (part, amount) = argument.split("=")
        val seconds = amount.toDouble()
        println("part $part")
        when (part) {
            "first-stage" -> bench.calls(isLast = false, seconds)
            "last-stage" -> bench.calls(isLast = true, seconds)
            "start" -> bench.starts(seconds)
            "archive-start" -> bench.archives(isLast = false, seconds)
            "archive-climb" -> bench.archives(isLast = true, seconds)
            "cycles" -> bench.cycles(arguments[2].toInt(), seconds)
            else -> error("no part is called $part")
        }
    }
}
