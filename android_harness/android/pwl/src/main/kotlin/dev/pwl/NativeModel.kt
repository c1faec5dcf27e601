package dev.pwl

import java.nio.ByteBuffer

/**
 * The native half: libpwl_jni.so. Text crosses as UTF-8.
 *
 * A handle is what [create] gave, until [destroy]. Everything may be called from several threads at
 * once, but [destroy] while nothing else runs, and nothing after it.
 */
internal object NativeModel {
    init {
        System.loadLibrary("pwl_jni")
    }

    @JvmStatic external fun create(): Long

    @JvmStatic external fun addFolder(handle: Long, folder: ByteArray)

    @JvmStatic
    external fun addSlice(
        handle: Long,
        path: ByteArray,
        descriptor: Int,
        offset: Long,
        length: Long,
    )

    /** Loads stage 0. [sizes] receives: floats of an input, classes, stages. */
    @JvmStatic
    external fun start(
        handle: Long,
        threads: Int,
        library: ByteArray,
        verify: Boolean,
        stamps: ByteArray,
        callbacks: NativeCallbacks,
        sizes: IntArray,
    )

    @JvmStatic external fun run(handle: Long, input: FloatArray, logits: FloatArray): Int

    @JvmStatic
    external fun runDirect(
        handle: Long,
        input: ByteBuffer,
        position: Int,
        floats: Int,
        logits: FloatArray,
    ): Int

    @JvmStatic external fun advance(handle: Long, upTo: Int)

    @JvmStatic external fun retreat(handle: Long, to: Int)

    @JvmStatic external fun cancel(handle: Long)

    @JvmStatic external fun destroy(handle: Long)
}
