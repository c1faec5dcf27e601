package dev.pwl.test

import dev.pwl.FileSlice
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import dev.pwl.PwlException
import dev.pwl.executorch.ModuleEngine
import java.io.File
import java.io.RandomAccessFile
import java.security.MessageDigest
import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.runBlocking
import org.pytorch.executorch.BackendOptionsMap
import org.pytorch.executorch.Module

/**
 * A stand-in of libexecutorch.so that computes: each program is a model of one unit on the engine in
 * C++. Keeps how it was asked, and can be told to fail.
 */
private class ComputingRuntime(
    private val work: File,
    private val model: ProgressiveModel? = null,
    private val fails: AtomicBoolean = AtomicBoolean()
) : Module.Runtime {
    override fun load(
        path: String,
        options: BackendOptionsMap,
        loadMode: Int,
        threads: Int
    ): Module.Runtime {
        check(options.values == mapOf("XnnpackBackend.workspace_sharing_mode" to 1))
        check(loadMode == Module.LOAD_MODE_MMAP && threads == 1)
        val program = File(path).readBytes()
        val sha256 = sha256(program)
        val (input, output) = floats.getValue(sha256)
        val folder = File(work, sha256).apply { mkdirs() }
        File(folder, "unit.pte").writeBytes(program)
        File(folder, "loading.plan").writeText(
            "pwl-loading-plan 1\nbackend executorch\nthreads 1\ninput $input\nclasses $output\n" +
                "artifact unit unit.pte ${program.size} $sha256 $input $output\nstage 0 unit\nend\n"
        )
        return ComputingRuntime(work, ProgressiveModel.open(folder, Options(verify = false)), fails)
    }

    override fun run(input: FloatArray, shape: LongArray): FloatArray {
        check(!fails.get()) { "told to fail" }
        check(shape.size == 4 && shape[2] == shape[3]) { shape.toList() } // not NHWC
        return model!!.run(input).logits
    }

    override fun end() {
        model!!.closeAndWait()
    }

    companion object {
        /** Floats that a program reads and writes, by its sha256. */
        lateinit var floats: Map<String, Pair<Int, Int>>

        fun sha256(bytes: ByteArray): String =
            MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") {
                "%02x".format(it)
            }
    }
}

/** ExecuTorch by its AAR alone. Arguments: bundle, work. */
object OnModules {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val (bundle, work) = arguments
        val on = Fixture(File(bundle), "", File(work))
        val plan = File(on.bundle, "loading.plan").readLines().map { it.split(" ") }
        ComputingRuntime.floats =
            plan.filter { it[0] == "artifact" }
                .associate { it[4] to (it[5].toInt() to it[6].toInt()) }
        val fails = AtomicBoolean()
        Module.runtime = ComputingRuntime(on.file("units"), fails = fails)
        val engine = ModuleEngine("1.5.1", on.file("private"))
        everyStageAnswersAsGolden(on, engine)
        aProgramThatFailsGivesWayToTheStageBefore(on, engine, fails)
        programsInAnotherFileAreCopiedOnce(on, engine)
        whatItCannotDoIsRefused(on, engine)
        check(Module.alive.get() == 0) { "${Module.alive} modules were not destroyed" }
        println("ok")
    }

    private fun everyStageAnswersAsGolden(on: Fixture, engine: ModuleEngine) {
        on.open(Options(engine = engine, advance = false)).using { model ->
            for (stage in 0..on.last) {
                model.advance(stage)
                model.awaitIndex(stage)
                check(on.runAll(model) == setOf(stage))
            }
            model.retreat()
            model.awaitIndex(0)
        }
        val model = on.open(Options(engine = engine))
        val inferring = Inferring(on, model, 3)
        inferring.awaitAnswers()
        model.closeAndWait() // while it loads
        inferring.end()
    }

    private fun aProgramThatFailsGivesWayToTheStageBefore(
        on: Fixture,
        engine: ModuleEngine,
        fails: AtomicBoolean
    ) {
        on.open(Options(engine = engine)).using { model ->
            runBlocking { model.awaitStage(on.last) }
            fails.set(true)
            val why = refused<PwlException.Failed> { model.run(on.inputs[0]) }
            check("told to fail" in why.message!!) { why }
            fails.set(false)
        }
    }

    private fun programsInAnotherFileAreCopiedOnce(on: Fixture, engine: ModuleEngine) {
        val container = on.file("container")
        val student = on.units.filter { !on.isTeachers(it.name) }
        val slices =
            RandomAccessFile(container, "rw").use { file ->
                (listOf(File(on.bundle, "loading.plan")) + student).map { source ->
                    val at = file.length()
                    file.seek(at)
                    file.write(source.readBytes())
                    Triple(source.relativeTo(on.bundle).path, at, source.length())
                }
            }
        val copied = mutableSetOf<Long>()
        repeat(2) {
            RandomAccessFile(container, "r").use { file ->
                val given = slices.map {
                    FileSlice(it.first, file.fd.number(), it.second, it.third)
                }
                val folders = listOf(on.copy("with manifest") { path -> path == "manifest.json" })
                val options = Options(engine = engine)
                ProgressiveModel.open(given, folders, options).using { model ->
                    check(model.awaitStop() is PwlException.Missing)
                    check(on.runAll(model) == setOf(0))
                }
            }
            val copies = engine.copies.listFiles()!!
            check(copies.size == student.size) { copies.toList() }
            copied += copies.sumOf { it.lastModified() }
        }
        check(copied.size == 1) { "copied again" }
    }

    private fun whatItCannotDoIsRefused(on: Fixture, engine: ModuleEngine) {
        val many =
            refused<PwlException.Incompatible> { on.open(Options(threads = 2, engine = engine)) }
        check("runs with 1 threads" in many.message!!) { many }
        val old = ModuleEngine("1.4.1", on.file("private"))
        refused<PwlException.Incompatible> { on.open(Options(engine = old)) }
        val without = on.copy("without manifest") { it != "manifest.json" }
        refused<PwlException.Missing> { on.open(Options(engine = engine), without) }
    }
}
