package dev.pwl.executorch

import dev.pwl.KotlinEngine
import dev.pwl.KotlinProgram
import dev.pwl.ProgramFile
import java.io.File
import org.pytorch.executorch.BackendOptionsMap
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/**
 * ExecuTorch by its official AAR alone (`org.pytorch:executorch-android`, 1.5 or later: the first
 * whose `Module.load` takes options for backends), for apps that cannot build it with the NDK: `Options(engine = ModuleEngine("1.5.1", context.codeCacheDir))`.
 *
 * Against the engine in C++, it loses: weight caches, which the AAR has no option for; the check of a
 * program's inner consistency, so the SHA-256 should stay on ([dev.pwl.Options.verify]); programs in
 * an APK are copied to [copies] once; and each program of a chain costs a call up into Kotlin and two
 * copies of its values.
 *
 * ExecuTorch has one pool of threads in a process, and the AAR makes a new one whenever a module asks
 * for another size, also while others infer: that is unsafe. So this class refuses a second number,
 * and an app should load no modules of its own with another one.
 */
public class ModuleEngine(override val version: String, folder: File) : KotlinEngine {
    override val copies: File = File(folder, "pwl-programs")

    override fun load(program: ProgramFile): KotlinProgram {
        requireThreads(program.threads)
        // One workspace for each model (1): with the AAR's default, one for all, loading would hold
        // the lock that every inference needs.
        val options = BackendOptionsMap().setInt(XNNPACK, "workspace_sharing_mode", 1)
        val module = Module.load(program.path, options, Module.LOAD_MODE_MMAP, program.threads)
        try {
            module.loadMethod(METHOD)
        } catch (error: Throwable) {
            module.destroy()
            throw error
        }
        return LoadedModule(module, program)
    }

    private class LoadedModule(private val module: Module, private val program: ProgramFile) :
        KotlinProgram {
        private val input = EValue.from(Tensor.fromBlob(program.input, program.inputShape))

        override fun run() {
            val outputs = module.forward(input)
            check(outputs.size == 1) {
                "the program gave ${outputs.size} values instead of a tensor"
            }
            val values = outputs[0].toTensor().dataAsFloatArray
            check(values.size == program.output.capacity()) {
                "the program gave ${values.size} floats instead of ${program.output.capacity()}"
            }
            program.output.rewind()
            program.output.put(values)
        }

        override fun close() {
            module.destroy()
        }
    }

    private companion object {
        const val XNNPACK = "XnnpackBackend"
        const val METHOD = "forward"

        private var threads = 0

        @Synchronized
        fun requireThreads(wanted: Int) {
            check(threads == 0 || threads == wanted) {
                "ExecuTorch runs with $threads threads in this process, not with $wanted"
            }
            threads = wanted
        }
    }
}
