package dev.pwl.test

import dev.pwl.FileSlice
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import dev.pwl.PwlException
import dev.pwl.executorch.ModuleEngine
import java.io.File
import java.io.RandomAccessFile
import java.security.MessageDigest
import java.util.concurrent.CountDownLatch
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
    private val hooks: Hooks = Hooks()
) : Module.Runtime {
    /** What a test has happen in the library, on the thread that calls it. */
    class Hooks {
        @Volatile var load: () -> Unit = {}

        @Volatile var run: () -> Unit = {}
    }

    override fun load(
        path: String,
        options: BackendOptionsMap,
        loadMode: Int,
        threads: Int
    ): Module.Runtime {
        hooks.load()
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
        return ComputingRuntime(work, ProgressiveModel.open(folder, Options(verify = false)), hooks)
    }

    override fun run(input: FloatArray, shape: LongArray): FloatArray {
        hooks.run()
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

/** A file that holds the plan and the student of a bundle one after the other, as an APK does. */
private class Container(private val on: Fixture, private val file: File, from: File = on.bundle) {
    val student = File(from, "units").listFiles()!!.filter { !on.isTeachers(it.name) }
    private val places = mutableListOf<Triple<String, Long, Long>>()

    init {
        RandomAccessFile(file, "rw").use { into ->
            into.setLength(0)
            for (source in listOf(File(from, "loading.plan")) + student) {
                places += Triple(source.relativeTo(from).path, into.length(), source.length())
                into.seek(into.length())
                into.write(source.readBytes())
            }
        }
    }

    fun open(engine: ModuleEngine, verify: Boolean = true): ProgressiveModel =
        RandomAccessFile(file, "r").use { opened ->
            val slices = places.map { FileSlice(it.first, opened.fd.number(), it.second, it.third) }
            val folders = listOf(on.copy("with manifest") { path -> path == "manifest.json" })
            ProgressiveModel.open(slices, folders, Options(engine = engine, verify = verify))
        }

    /** Programs that were copied out of it, named after their sha256. */
    fun copies(engine: ModuleEngine): List<File> =
        engine.copies.listFiles().orEmpty().filter { it.name.length == 64 }
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
        val hooks = ComputingRuntime.Hooks()
        Module.runtime = ComputingRuntime(on.file("units"), hooks = hooks)
        val engine = ModuleEngine("1.5.1", on.file("private"))
        everyStageAnswersAsGolden(on, engine)
        aProgramThatFailsGivesWayToTheStageBefore(on, engine, hooks)
        aLackOfMemoryInJavaIsAFailureAsOthers(on, engine, hooks)
        closeReturnsWhileAProgramIsLoadedAndWhileOneRuns(on, engine, hooks)
        programsInAnotherFileAreCopiedOnce(on, engine)
        aDamagedCopyIsMadeAnew(on, engine)
        aDamagedProgramIsNeverCopiedForLater(on)
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
        hooks: ComputingRuntime.Hooks
    ) {
        on.open(Options(engine = engine)).using { model ->
            runBlocking { model.awaitStage(on.last) }
            hooks.run = { error("told to fail") }
            val why = refused<PwlException.Failed> { model.run(on.inputs[0]) }
            check("told to fail" in why.message!!) { why }
            hooks.run = {}
        }
    }

    private fun aLackOfMemoryInJavaIsAFailureAsOthers(
        on: Fixture,
        engine: ModuleEngine,
        hooks: ComputingRuntime.Hooks
    ) {
        val short = { throw OutOfMemoryError("told to fail") }
        on.open(Options(engine = engine, advance = false)).using { model ->
            hooks.load = short
            model.advance()
            val why = model.awaitStop()
            check(why is PwlException.Failed && "no memory in Java" in why.message!!) { why }
            hooks.load = {}
            check(on.runAll(model) == setOf(0))
            model.advance()
            runBlocking { model.awaitStage(on.last) }
            hooks.run = short
            refused<PwlException.Failed> { model.run(on.inputs[0]) }
            hooks.run = {}
        }
        hooks.load = short
        refused<PwlException.Failed> { on.open(Options(engine = engine)) }
        hooks.load = {}
    }

    private fun closeReturnsWhileAProgramIsLoadedAndWhileOneRuns(
        on: Fixture,
        engine: ModuleEngine,
        hooks: ComputingRuntime.Hooks
    ) {
        for (loading in listOf(true, false)) {
            val model = on.open(Options(engine = engine, advance = false))
            val busy = CountDownLatch(1)
            val goOn = CountDownLatch(1)
            val wait = {
                busy.countDown()
                goOn.await()
            }
            if (loading) hooks.load = wait else hooks.run = wait
            val inferring = if (loading) null else Inferring(on, model, 1)
            if (loading) model.advance()
            busy.await()
            model.close() // were it to wait, it would do so for ever
            refused<IllegalStateException> { model.run(on.inputs[0]) }
            check(Module.alive.get() > 0) // what is in use is not given back
            goOn.countDown()
            model.awaitClosed()
            inferring?.awaitAnswers()
            inferring?.end() // its answer was right
            hooks.load = {}
            hooks.run = {}
            check(Module.alive.get() == 0)
        }
    }

    private fun programsInAnotherFileAreCopiedOnce(on: Fixture, engine: ModuleEngine) {
        val container = Container(on, on.file("container"))
        val copied = mutableSetOf<Long>()
        val remembered = File(engine.copies, "verified")
        var starts = 0
        // A copy that was made in this tenth of a second is hashed again: its times tell nothing yet.
        while (starts++ < 2 || !remembered.exists()) {
            check(starts < 100) { "hashed at every start" }
            container.open(engine).using { model ->
                check(model.awaitStop() is PwlException.Missing)
                check(on.runAll(model) == setOf(0))
            }
            val copies = container.copies(engine)
            check(copies.size == container.student.size) { copies.toList() }
            copied += copies.sumOf { it.lastModified() }
        }
        check(copied.size == 1) { "copied again" }
    }

    private fun aDamagedCopyIsMadeAnew(on: Fixture, engine: ModuleEngine) {
        val container = Container(on, on.file("container"))
        for (verify in listOf(true, false)) {
            for (copy in container.copies(engine)) {
                val bytes = copy.readBytes()
                bytes[bytes.size / 2] = (bytes[bytes.size / 2] + 1).toByte()
                copy.writeBytes(bytes) // of the same size, under the same name
            }
            container.open(engine, verify).using { check(on.runAll(it) == setOf(0)) }
            for (copy in container.copies(engine)) {
                check(ComputingRuntime.sha256(copy.readBytes()) == copy.name) { copy }
            }
        }
    }

    private fun aDamagedProgramIsNeverCopiedForLater(on: Fixture) {
        val engine = ModuleEngine("1.5.1", on.file("other private"))
        val damaged = on.copy("damaged student")
        val unit = on.unit(damaged, "student-0")
        unit.writeBytes(unit.readBytes().also { it[it.size / 2] = (it[it.size / 2] + 1).toByte() })
        val container = Container(on, on.file("damaged container"), damaged)
        val why = refused<PwlException.Damaged> { container.open(engine, verify = false) }
        check("student-0" in why.message!!) { why }
        check(container.copies(engine).isEmpty())
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
