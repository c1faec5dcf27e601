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
        length: Long
    )

    @JvmStatic
    external fun useCaches(handle: Long, folder: ByteArray, runtime: ByteArray, quota: Long)

    @JvmStatic
    external fun useEngine(
        handle: Long,
        engine: NativeEngine,
        version: ByteArray,
        copies: ByteArray
    )

    /**
     * Checks all files and builds weight caches, in place of [start]. [counts] receives: hashed, known,
     * built, there, without.
     */
    @JvmStatic
    external fun install(
        handle: Long,
        threads: Int,
        library: ByteArray,
        stamps: ByteArray,
        steps: NativeSteps,
        counts: IntArray
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
        sizes: IntArray
    )

    @JvmStatic external fun run(handle: Long, input: FloatArray, logits: FloatArray): Int

    @JvmStatic
    external fun runDirect(
        handle: Long,
        input: ByteBuffer,
        position: Int,
        floats: Int,
        logits: FloatArray
    ): Int

    @JvmStatic external fun advance(handle: Long, upTo: Int)

    @JvmStatic external fun retreat(handle: Long, to: Int)

    @JvmStatic external fun cancel(handle: Long)

    /** The number of programs whose caches [buildCache] can build. */
    @JvmStatic external fun beginCaches(handle: Long): Int

    /** 0: it was there, 1: it was built, 2: there is none. */
    @JvmStatic external fun buildCache(handle: Long, program: Int): Int

    @JvmStatic external fun endCaches(handle: Long)

    @JvmStatic external fun destroy(handle: Long)
}
