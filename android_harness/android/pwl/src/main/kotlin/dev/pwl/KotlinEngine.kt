package dev.pwl

import java.io.Closeable
import java.io.File
import java.nio.FloatBuffer

/**
 * An inference library that is called from Kotlin, in place of those that libpwl_jni.so knows.
 *
 * [dev.pwl.executorch.ModuleEngine] is one. What is checked, when stages change and what happens
 * after a failure stays the same; programs run slower by what the calls up into Kotlin cost.
 *
 * @property version of the library, such as `1.5.1`; a model that needs a later one is refused.
 * @property copies a folder that belongs to the app alone, such as `codeCacheDir`: programs that lie
 *   in an APK are copied there, because such a library opens files by their paths.
 */
public interface KotlinEngine {
    public val version: String
    public val copies: File

    /**
     * Loads a program. Called on several threads, one call at a time for each model.
     *
     * @throws Exception where the library cannot run it: the stage that serves goes on serving.
     */
    public fun load(program: ProgramFile): KotlinProgram
}

/** A program that a [KotlinEngine] has loaded. Used and closed by one thread at a time. */
public interface KotlinProgram : Closeable {
    /**
     * Runs once: reads [ProgramFile.input] and writes [ProgramFile.output].
     *
     * @throws Exception where that fails: the program is not called again, the stage before answers.
     */
    public fun run()
}

/**
 * A program that was checked, and where its values are.
 *
 * @property path of its file, which need not be there any more when [KotlinEngine.load] has returned.
 * @property threads that an inference uses.
 * @property inputShape sizes of what it reads in PyTorch's order: batch, channels, height, width.
 * @property outputShape sizes of what it writes.
 * @property input direct, float32 in the order of the bundle: height, width, channels of an image.
 * @property output direct, the same.
 */
public class ProgramFile
internal constructor(
    public val path: String,
    public val threads: Int,
    public val inputShape: LongArray,
    public val outputShape: LongArray,
    public val input: FloatBuffer,
    public val output: FloatBuffer
)
