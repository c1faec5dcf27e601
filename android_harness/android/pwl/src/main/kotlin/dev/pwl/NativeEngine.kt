package dev.pwl

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.FloatBuffer

/** A [KotlinEngine] as C++ calls it: by name, and without exceptions. */
internal class NativeEngine(
    private val engine: KotlinEngine,
    private val threads: Int,
    private val shapes: Map<String, UnitShapes>
) {
    fun load(
        path: ByteArray,
        sha256: ByteArray,
        input: ByteBuffer,
        output: ByteBuffer
    ): NativeProgram = try {
        val shape =
            checkNotNull(shapes[String(sha256)]) { "manifest.json does not know the program" }
        val file =
            ProgramFile(
                String(path),
                threads,
                shape.input,
                shape.output,
                input.floats(shape.input),
                output.floats(shape.output)
            )
        NativeProgram(engine.load(file), null)
    } catch (error: OutOfMemoryError) {
        throw error // not the program's fault
    } catch (error: Throwable) {
        NativeProgram(null, error) // such as a LinkageError: its library is not in the app
    }

    private fun ByteBuffer.floats(shape: LongArray): FloatBuffer {
        val found = order(ByteOrder.nativeOrder()).asFloatBuffer()
        check(found.capacity().toLong() == shape.fold(1L) { all, size -> all * size }) {
            "manifest.json is of another bundle: ${found.capacity()} floats are not ${shape.toList()}"
        }
        return found
    }
}

/** A [KotlinProgram] as C++ calls it, or why there is none. Messages cross as UTF-8. */
internal class NativeProgram(private val program: KotlinProgram?, private val error: Throwable?) {
    fun failure(): ByteArray? = error?.text()

    /** Null, or why it failed. */
    fun run(): ByteArray? = try {
        program!!.run()
        null
    } catch (error: Throwable) {
        error.text()
    }

    fun close() {
        try {
            program?.close()
        } catch (_: Throwable) {
            // It is not used any more, whatever it says.
        }
    }

    private fun Throwable.text(): ByteArray = toString().toByteArray()
}
