package dev.pwl.bench

import dev.pwl.Options
import dev.pwl.ProgressiveModel
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
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
            val time = { call: () -> Unit ->
                val begin = System.nanoTime()
                repeat(count) { call() }
                (System.nanoTime() - begin) / count
            }
            repeat(rounds + 5) { round ->
                val native = Direct.run(handle, buffer, input.size, count)
                val array = time { model.run(input) }
                val direct = time { model.run(buffer, logits) }
                if (round >= 5) println("call $stage $native $array $direct") // warm by then
            }
        }
        Direct.close(handle)
        model.end()
    }

    /** A line for each round: nanoseconds from opening to the first answer, in C++ and in Kotlin. */
    fun starts(rounds: Int) {
        val input = open().run { FloatArray(inputSize).also { end() } }
        val buffer = ByteBuffer.allocateDirect(input.size * 4).order(ByteOrder.nativeOrder())
        repeat(rounds + 5) { round ->
            val begin = System.nanoTime()
            val handle = direct()
            Direct.run(handle, buffer, input.size, 1)
            val native = System.nanoTime() - begin
            Direct.close(handle)
            val again = System.nanoTime()
            val model = open()
            model.run(input)
            val kotlin = System.nanoTime() - again
            model.end()
            if (round >= 5) println("start $native $kotlin")
        }
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

/** Arguments: bundle, libLiteRt.so, rounds, cycles. */
fun main(arguments: Array<String>) {
    val bench = Bench(File(arguments[0]), arguments[1])
    val (rounds, cycles) = arguments.drop(2).map { it.toInt() }
    if (rounds > 0) {
        bench.calls(rounds)
        bench.starts(rounds)
    }
    bench.cycles(cycles)
}
