package dev.pwl.bench

import dev.pwl.FileSlice
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import java.io.File
import java.io.FileDescriptor
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.contracts.ExperimentalContracts
import kotlin.contracts.InvocationKind
import kotlin.contracts.contract
import kotlinx.coroutines.runBlocking

/** The same runtime without Kotlin in between; see direct.cc. */
object Direct {
    init {
        System.loadLibrary("pwl_direct")
    }

    @JvmStatic external fun open(folder: ByteArray, library: ByteArray): Long

    @JvmStatic external fun load(handle: Long, stage: Int)

    @JvmStatic external fun run(handle: Long, input: ByteBuffer, floats: Int, count: Int): Long

    @JvmStatic external fun allocated(): Long

    @JvmStatic external fun close(handle: Long)
}

/** Calls ways of doing the same in turns, another one first in each round; prints what each took. */
private fun inTurns(rounds: Int, kind: String, ways: List<() -> Long>) {
    repeat(rounds + WARM_UP) { round ->
        val took = LongArray(ways.size)
        for (turn in ways.indices) {
            val way = (turn + round) % ways.size
            took[way] = ways[way]()
        }
        if (round >= WARM_UP) println("$kind ${took.joinToString(" ")}")
    }
}

private const val WARM_UP = 5

@OptIn(ExperimentalContracts::class)
private inline fun nanoseconds(call: () -> Unit): Long {
    contract { callsInPlace(call, InvocationKind.EXACTLY_ONCE) }
    val begin = System.nanoTime()
    call()
    return System.nanoTime() - begin
}

private class Bench(private val bundle: File, private val library: String) {
    private fun open() =
        ProgressiveModel.open(bundle, Options(liteRtLibrary = library, advance = false))

    private fun direct() = Direct.open(bundle.path.toByteArray(), library.toByteArray())

    private fun ProgressiveModel.end() {
        close()
        awaitClosed()
    }

    /** A line for each round: stage, nanoseconds a call in C++, by array, by direct buffer. */
    fun calls(rounds: Int) {
        val model = open()
        val handle = direct()
        val input = FloatArray(model.inputSize) { it % 7 / 7f }
        val buffer = ByteBuffer.allocateDirect(input.size * 4).order(ByteOrder.nativeOrder())
        buffer.asFloatBuffer().put(input)
        val logits = FloatArray(model.classes)
        for (stage in listOf(0, model.stages - 1)) {
            model.advance(stage)
            runBlocking { model.awaitStage(stage) }
            Direct.load(handle, stage)
            val count = if (stage == 0) 2000 else 100
            inTurns(
                rounds,
                "call $stage",
                listOf(
                    { Direct.run(handle, buffer, input.size, count) },
                    { nanoseconds { repeat(count) { model.run(input) } } / count },
                    { nanoseconds { repeat(count) { model.run(buffer, logits) } } / count }
                )
            )
        }
        Direct.close(handle)
        model.end()
    }

    /** A line for each round: nanoseconds from opening to the first answer, in C++ and in Kotlin. */
    fun starts(rounds: Int) {
        val input = open().run { FloatArray(inputSize).also { end() } }
        val buffer = ByteBuffer.allocateDirect(input.size * 4).order(ByteOrder.nativeOrder())
        val native = {
            val handle: Long
            val took = nanoseconds {
                handle = direct()
                Direct.run(handle, buffer, input.size, 1)
            }
            Direct.close(handle)
            took
        }
        inTurns(rounds, "start", listOf(native, { firstAnswer(input) { open() } }))
    }

    /**
     * A line for each round: nanoseconds from opening to the first answer, and to the last stage, out
     * of a file where everything lies at multiples of 16 and is mapped, and of one where it lies 4
     * bytes further and is copied.
     */
    fun archives(rounds: Int) {
        val input = open().run { FloatArray(inputSize).also { end() } }
        val archives = listOf(0, 4).map { Archive(bundle, it) }
        for (kind in listOf("first", "last")) {
            val ways =
                archives.map { archive ->
                    {
                        firstAnswer(input, toTheLast = kind == "last") {
                            ProgressiveModel.open(
                                archive.slices,
                                options = Options(liteRtLibrary = library, advance = false)
                            )
                        }
                    }
                }
            inTurns(rounds, "archive-$kind", ways)
        }
        archives.forEach { it.close() }
    }

    private fun firstAnswer(
        input: FloatArray,
        toTheLast: Boolean = false,
        open: () -> ProgressiveModel
    ): Long {
        val model: ProgressiveModel
        val took = nanoseconds {
            model = open()
            model.run(input)
            if (toTheLast) {
                model.advance()
                runBlocking { model.awaitStage(model.stages - 1) }
            }
        }
        model.end()
        return took
    }

    /** A line for every hundred: cycles, KB allocated, KB resident, descriptors, threads. */
    fun cycles(count: Int) {
        for (cycle in 1..count) {
            val model = ProgressiveModel.open(bundle, Options(liteRtLibrary = library))
            runBlocking { model.awaitStage(model.stages - 1) }
            model.end()
            if (cycle % 100 != 0) continue
            System.gc()
            val status = File("/proc/self/status").readLines().map { it.split(Regex("\\s+")) }
            val of = { name: String -> status.single { it[0] == "$name:" }[1] }
            val allocated = Direct.allocated() / 1024
            val descriptors = File("/proc/self/fd").list()!!.size
            println("cycle $cycle $allocated ${of("VmRSS")} $descriptors ${of("Threads")}")
        }
    }
}

/** Plan and programs of a bundle in one file, each so many bytes behind a multiple of 16. */
private class Archive(bundle: File, askew: Int) : AutoCloseable {
    private val path = File.createTempFile("pwl", ".archive")
    private val file = RandomAccessFile(path, "rw")
    val slices: List<FileSlice>

    init {
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

/** Arguments: bundle, libLiteRt.so, rounds, cycles. */
fun main(arguments: Array<String>) {
    val bench = Bench(File(arguments[0]), arguments[1])
    val (rounds, cycles) = arguments.drop(2).map { it.toInt() }
    if (rounds > 0) {
        bench.calls(rounds)
        bench.starts(rounds)
        bench.archives(rounds)
    }
    bench.cycles(cycles)
}
