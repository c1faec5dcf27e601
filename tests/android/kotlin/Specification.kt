package dev.pwl.test

import dev.pwl.BundleManifest
import dev.pwl.FileSlice
import dev.pwl.ImageInput
import dev.pwl.InstallStep
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import dev.pwl.PwlException
import dev.pwl.Stage
import dev.pwl.WeightCaches
import dev.pwl.install
import java.io.File
import java.io.FileDescriptor
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.file.Files
import java.nio.file.attribute.BasicFileAttributes
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicReference
import kotlinx.coroutines.CoroutineExceptionHandler
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking

/** What the library promises. Read by test_kotlin.py, which reports each scenario by its name. */
fun specification(on: Fixture): Map<String, () -> Unit> = buildMap {
    fun scenario(name: String, check: () -> Unit) {
        put(name, check)
    }

    scenario("the student answers first") {
        on.open(on.options(advance = false)).using { model ->
            check(model.stage.value == Stage(0, isFinal = false))
            check(on.runAll(model) == setOf(0))
            check(model.inputSize == Fixture.INPUT && model.classes == 10)
            check(model.stages == on.last + 1)
        }
    }

    scenario("every answer while loading equals golden of its stage") {
        on.open().using { model ->
            val inferring = Inferring(on, model, 1)
            val final = runBlocking { model.awaitStage(on.last) }
            inferring.end()
            check(final == Stage(on.last, isFinal = true)) { final }
            check(on.runAll(model) == setOf(on.last))
        }
    }

    scenario("each stage can be asked for by its number") {
        on.open(on.options(advance = false)).using { model ->
            for (stage in 1..on.last) {
                model.advance(stage)
                model.awaitIndex(stage)
                check(on.runAll(model) == setOf(stage))
            }
            refused<PwlException.Usage> { model.advance(on.last + 1) }
            refused<PwlException.Usage> { model.retreat(on.last + 1) }
            refused<PwlException.Usage> { model.advance(-1) }
            check(model.stage.value.stopped == null)
        }
    }

    scenario("a direct buffer is read in place from its position on") {
        on.open(on.options(advance = false)).using { model ->
            val logits = FloatArray(model.classes)
            val buffer = ByteBuffer.allocateDirect(8 + Fixture.INPUT * 4)
            buffer.order(ByteOrder.nativeOrder()).position(8)
            buffer.asFloatBuffer().put(on.inputs[1])
            check(model.run(buffer, logits) == 0 && buffer.position() == 8)
            check(logits.contentEquals(model.run(on.inputs[1]).logits))
        }
    }

    scenario("an input that does not fit is refused and harms nothing") {
        on.open(on.options(advance = false)).using { model ->
            val bytes = Fixture.INPUT * 4
            val logits = FloatArray(model.classes)
            val native = ByteOrder.nativeOrder()
            val direct = { size: Int -> ByteBuffer.allocateDirect(size).order(native) }
            refused<IllegalArgumentException> { model.run(FloatArray(3)) }
            refused<IllegalArgumentException> { model.run(ByteBuffer.allocate(bytes), logits) }
            refused<IllegalArgumentException> { model.run(direct(bytes - 4), logits) }
            refused<IllegalArgumentException> {
                model.run(direct(bytes + 1).apply { position(1) }, logits)
            }
            val askew = direct(bytes + 1).apply { position(1) }.slice().order(native)
            refused<IllegalArgumentException> { model.run(askew, logits) }
            refused<IllegalArgumentException> { model.run(direct(bytes), FloatArray(9)) }
            val foreign = direct(bytes).order(ByteOrder.BIG_ENDIAN)
            refused<IllegalArgumentException> { model.run(foreign, logits) }
            check(on.runAll(model) == setOf(0))
        }
    }

    scenario("a missing pack leaves the student in service and goes on when it arrives") {
        val student = on.copy("student") { !on.isTeachers(it) }
        val teacher = on.copy("teacher") { on.isTeachers(it) }
        on.open(folder = student).using { model ->
            val why = model.awaitStop()
            check(why is PwlException.Missing && "teacher-0" in why.message!!) { why }
            check(on.runAll(model) == setOf(0))
            model.addFolder(teacher)
            runBlocking { model.awaitStage(on.last) }
            check(on.runAll(model) == setOf(on.last))
        }
    }

    scenario("a damaged pack leaves the stage before in service until a whole one arrives") {
        val copy = on.copy("damaged")
        on.unit(copy, "teacher-1").let { unit ->
            val bytes = unit.readBytes()
            bytes[bytes.size / 2] = (bytes[bytes.size / 2] + 1).toByte()
            unit.writeBytes(bytes)
        }
        on.open(folder = copy).using { model ->
            val why = model.awaitStop()
            check(why is PwlException.Damaged && "teacher-1: sha256" in why.message!!) { why }
            check(model.stage.value.index == 1 && on.runAll(model) == setOf(1))
            model.addFolder(on.copy("whole") { on.isTeachers(it) })
            runBlocking { model.awaitStage(on.last) }
            check(on.runAll(model) == setOf(on.last))
        }
    }

    scenario("a pack of the release before leaves the student in service until the right one") {
        val stamps = on.file("stamps of two releases")
        val options = Options(liteRtLibrary = on.library, verifiedFiles = stamps)
        val old = on.copy("old pack", on.before) { on.isTeachers(it) }
        // The app before the update: whole, served to its end, and remembered as verified.
        val app = on.copy("old app", on.before) { !on.isTeachers(it) }
        ProgressiveModel.open(emptyList(), listOf(app, old), options).using { model ->
            runBlocking { model.awaitStage(on.last) }
        }
        val student = on.copy("new app") { !on.isTeachers(it) }
        ProgressiveModel.open(emptyList(), listOf(student, old), options).using { model ->
            val why = model.awaitStop()
            check(why is PwlException.Damaged && "encoder-0: " in why.message!!) { why }
            check(model.stage.value.index == 0 && on.runAll(model) == setOf(0))
            model.addFolder(on.copy("old pack again", on.before) { on.isTeachers(it) })
            check(model.awaitStop() is PwlException.Damaged)
            model.addFolder(on.copy("new pack") { on.isTeachers(it) })
            val last = runBlocking { model.awaitStage(on.last) }
            check(last.stopped == null && on.runAll(model) == setOf(on.last))
        }
    }

    scenario("a half-arrived file is told as damaged") {
        val copy = on.copy("half")
        on.unit(copy, "teacher-2").let { it.writeBytes(it.readBytes().copyOf(100)) }
        on.open(folder = copy).using { model ->
            val why = refused<PwlException.Damaged> { runBlocking { model.awaitStage(on.last) } }
            check("teacher-2: 100 bytes" in why.message!!) { why }
            check(on.runAll(model) == setOf(2))
        }
    }

    scenario("what keeps the student from loading is told by its reason") {
        refused<PwlException.Missing> { on.open(folder = File("/nonexistent")) }
        val copy = on.copy("broken")
        on.unit(copy, "student-0").let { it.writeBytes(ByteArray(it.length().toInt())) }
        refused<PwlException.Damaged> { on.open(folder = copy) }
        val plan = File(copy, "loading.plan")
        plan.writeText(plan.readText().removeSuffix("end\n"))
        refused<PwlException.InvalidPlan> { on.open(folder = copy) }
        val circle = on.file("circle")
        Files.createSymbolicLink(circle.toPath(), circle.toPath())
        val why = refused<PwlException.Io> { on.open(folder = circle) }
        check("circle/loading.plan" in why.message!!) { why }
    }

    scenario("files are mapped out of another file at any offset") {
        val offsets = listOf(0L, 4L, 12L, 16L) // APKs have multiples of 4, engines want 16
        val container = on.file("container")
        RandomAccessFile(container, "rw").use { file ->
            val slices =
                (listOf(File(on.bundle, "loading.plan")) + on.units).mapIndexed { index, source ->
                    val at = (file.length() + 15) / 16 * 16 + offsets[index % offsets.size]
                    file.seek(at)
                    file.write(source.readBytes())
                    FileSlice(
                        source.relativeTo(on.bundle).path,
                        file.fd.number(),
                        at,
                        source.length()
                    )
                }
            file.write(ByteArray(100))
            val model = ProgressiveModel.open(slices, options = on.options())
            file.close() // the descriptor was duplicated
            model.using {
                runBlocking { it.awaitStage(on.last) }
                check(on.runAll(it) == setOf(on.last))
            }
        }
    }

    scenario("retreat and advance under three inferring threads") {
        on.open().using { model ->
            val inferring = Inferring(on, model, 3)
            repeat(10) {
                model.advance()
                runBlocking { model.awaitStage(on.last) }
                model.retreat(it % 2)
                model.awaitIndex(it % 2)
            }
            inferring.end()
            model.advance()
            runBlocking { model.awaitStage(on.last) }
        }
    }

    scenario("close during load, twenty times, with three inferring threads") {
        repeat(20) { round ->
            val opened = AtomicReference<ProgressiveModel>()
            val ready = CountDownLatch(1)
            // In every other round the loading thread itself closes the model.
            val mayLoad = { stage: Int ->
                ready.await()
                if (round % 2 == 0 && stage == 1 + round / 2 % on.last) opened.get().close()
                true
            }
            val model = on.open(on.options(mayLoad = mayLoad))
            opened.set(model)
            val inferring = Inferring(on, model, 3)
            inferring.awaitAnswers()
            ready.countDown()
            if (round % 2 == 1) runBlocking { model.awaitStage(round / 2 % on.last) }
            model.closeAndWait()
            inferring.end()
            check(model.stage.value.stopped is PwlException.Cancelled)
        }
    }

    scenario("close does not wait for mayLoad") {
        val asked = CountDownLatch(1)
        val answer = CountDownLatch(1)
        val left = CountDownLatch(1)
        val model =
            on.open(
                on.options {
                    asked.countDown()
                    answer.await()
                    left.countDown()
                    true
                }
            )
        asked.await()
        model.closeAndWait()
        check(left.count == 1L)
        answer.countDown()
        left.await()
    }

    scenario("a closed model refuses everything and can be closed again") {
        val model = on.open()
        model.closeAndWait()
        model.close()
        check(model.stage.value.stopped is PwlException.Cancelled)
        val calls: List<(ProgressiveModel) -> Unit> =
            listOf(
                { it.run(on.inputs[0]) },
                { it.advance() },
                { it.retreat() },
                { it.cancel() },
                { it.addFolder(on.bundle) }
            )
        for (call in calls) refused<IllegalStateException> { call(model) }
    }

    scenario("two models at once") {
        on.open().using { one ->
            on.open().using { other ->
                val inferring = listOf(Inferring(on, one, 1), Inferring(on, other, 1))
                runBlocking { listOf(one, other).forEach { it.awaitStage(on.last) } }
                inferring.forEach { it.end() }
                one.closeAndWait()
                check(on.runAll(other) == setOf(on.last))
            }
        }
    }

    scenario("loading happens on one named thread at background priority") {
        val seen = AtomicReference<List<String>>()
        val model =
            on.open(
                on.options {
                    seen.set(listOf(Thread.currentThread().name, niceOf("thread-self")))
                    true
                }
            )
        model.using {
            runBlocking { it.awaitStage(on.last) }
            check(seen.get() == listOf("pwl-loader", "10")) { seen.get() }
            check(niceOf("thread-self") == niceOf("self"))
        }
    }

    scenario("mayLoad that refuses ends loading without a failure, and advance goes on") {
        val allowed = AtomicInteger(1)
        val refusedAt = CountDownLatch(1)
        val mayLoad = { stage: Int ->
            (stage <= allowed.get()).also { if (!it) refusedAt.countDown() }
        }
        on.open(on.options(mayLoad = mayLoad)).using { model ->
            refusedAt.await()
            check(model.stage.value == Stage(1, isFinal = false))
            allowed.set(on.last)
            model.advance()
            runBlocking { model.awaitStage(on.last) }
        }
    }

    scenario("mayLoad that throws is the reason why loading stopped") {
        val mine = IllegalArgumentException("mine")
        on.open(on.options { throw mine }).using { model ->
            val why = refused<PwlException.Failed> { runBlocking { model.awaitStage(1) } }
            check(why.cause === mine)
            check(on.runAll(model) == setOf(0))
        }
    }

    scenario("cancelled loading says so and goes on when it is asked for again") {
        val asked = CountDownLatch(1)
        val cancelled = CountDownLatch(1)
        val mayLoad = { stage: Int ->
            if (stage == 2) {
                asked.countDown()
                cancelled.await()
            }
            true
        }
        on.open(on.options(mayLoad = mayLoad)).using { model ->
            asked.await()
            model.cancel()
            cancelled.countDown()
            check(model.stage.value.stopped is PwlException.Cancelled)
            check(on.runAll(model) == setOf(1))
            model.advance()
            check(runBlocking { model.awaitStage(on.last) }.stopped == null)
        }
    }

    scenario("a coroutine that waits for a stage can be cancelled") {
        val answer = CountDownLatch(1)
        on.open(
            on.options {
                answer.await()
                true
            }
        )
            .using { model ->
                runBlocking {
                    val waiting =
                        launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) {
                            model.awaitStage(on.last)
                        }
                    waiting.cancel()
                    waiting.join()
                    check(waiting.isCancelled)
                    answer.countDown()
                    model.awaitStage(on.last)
                }
            }
    }

    scenario("what was verified once is remembered, and not hashed again") {
        val stamps = on.file("stamps")
        val copy = on.copy("stamped")
        val student = on.units.filter { !on.isTeachers(it.name) }.sumOf { it.length() }
        val read = { options: Options ->
            val before = bytesRead()
            on.open(options, copy).using { check(on.runAll(it) == setOf(0)) }
            bytesRead() - before
        }
        val hashing = Options(liteRtLibrary = on.library, advance = false)
        val remembering =
            Options(liteRtLibrary = on.library, verifiedFiles = stamps, advance = false)
        // A file that changed in this tenth of a second is not remembered yet.
        val end = System.nanoTime() + 30_000_000_000
        do {
            read(remembering)
            check(System.nanoTime() < end) { "nothing was remembered" }
            val lines = if (stamps.exists()) stamps.readLines().size else 0
        } while (lines < 2 + on.units.count { !on.isTeachers(it.name) })
        check(read(hashing) >= student)
        val again = read(remembering)
        check(again < student / 2) { "$again of $student bytes were read again" }
    }

    scenario("weight caches are built when they are asked for, and used at the next start") {
        val folder = on.file("caches")
        val caches = WeightCaches(folder, quota = Long.MAX_VALUE, madeBy = "test 1")
        val options = Options(liteRtLibrary = on.library, weightCaches = caches)
        val inCaches = { folder.listFiles()!!.filter { it.extension == "xnnpack" } }
        on.open(options).using { model ->
            runBlocking { model.awaitStage(on.last) }
            check(inCaches().isEmpty()) { "loading built a cache" }
            val built = runBlocking { model.buildWeightCaches() }
            check(built.built == inCaches().size && built.there == 0) { "$built, ${inCaches()}" }
            check(built.built + built.without == on.units.size && built.built > 0) { built }
            check(on.runAll(model) == setOf(on.last))
        }
        val before = inCaches().associateWith { it.lastModified() }
        on.open(options).using { model ->
            runBlocking { model.awaitStage(on.last) }
            check(on.runAll(model) == setOf(on.last))
            val built = runBlocking { model.buildWeightCaches() }
            check(built.built == 0 && built.there == before.size) { built }
        }
        check(inCaches().associateWith { it.lastModified() } == before)
    }

    scenario("weight caches keep to their quota, and a damaged one is built anew") {
        val folder = on.file("small caches")
        val open = { quota: Long ->
            val caches = WeightCaches(folder, quota, madeBy = "test 1")
            on.open(Options(liteRtLibrary = on.library, weightCaches = caches, advance = false))
        }
        val sizes = { folder.listFiles()!!.filter { it.extension == "xnnpack" } }
        open(0).using { model ->
            val built = runBlocking { model.buildWeightCaches() }
            check(built.without == on.units.size && sizes().isEmpty()) { built }
        }
        open(1 shl 20).using { model -> runBlocking { model.buildWeightCaches() } }
        val damaged = sizes().maxBy { it.length() }
        check(damaged.setWritable(true)) // which a whole one is not
        RandomAccessFile(damaged, "rw").use { file ->
            file.seek(file.length() / 2)
            file.write(file.read() xor 1)
        }
        open(1 shl 20).using { model ->
            check(on.runAll(model) == setOf(0))
            val built = runBlocking { model.buildWeightCaches() }
            check(built.built == 1) { built }
        }
    }

    scenario("two builds of weight caches at once take turns, and build nothing twice") {
        repeat(5) { round ->
            val folder = on.file("caches of two $round")
            val caches = WeightCaches(folder, quota = Long.MAX_VALUE, madeBy = "test 1")
            val options = Options(liteRtLibrary = on.library, weightCaches = caches)
            on.open(options).using { model ->
                val both = runBlocking(Dispatchers.Default) {
                    List(2) { async { model.buildWeightCaches() } }.awaitAll()
                }
                val there = folder.listFiles()!!.count { it.extension == "xnnpack" }
                check(both.map { it.built }.sorted() == listOf(0, there)) { both }
                check(both.all { it.built + it.there == there && there > 0 }) { both }
                check(both.all { it.without == on.units.size - there }) { both }
            }
        }
    }

    scenario("a model may be closed while its weight caches are being built") {
        val folder = on.file("caches of the closed")
        val caches = WeightCaches(folder, quota = Long.MAX_VALUE, madeBy = "test 1")
        val options = Options(liteRtLibrary = on.library, weightCaches = caches, advance = false)
        var ended = 0
        repeat(24) { round ->
            folder.deleteRecursively()
            val model = on.open(options)
            runBlocking(Dispatchers.Default) {
                val building = List(2) { async { runCatching { model.buildWeightCaches() } } }
                while (building.any { it.isActive } && folder.list()!!.size < round) {
                    Thread.onSpinWait()
                }
                model.closeAndWait()
                for (result in building.awaitAll()) {
                    val error = result.exceptionOrNull() ?: continue
                    check(error is IllegalStateException) { error }
                    check(error.message == "the model is closed") { error }
                    ended++
                }
            }
        }
        check(ended > 0)
        check(folder.listFiles().orEmpty().none { it.extension == "part" })
        on.open(options).using { runBlocking { it.buildWeightCaches() } }
    }

    scenario("building weight caches ends when it is cancelled, and when the model is closed") {
        val caches = WeightCaches(on.file("cancelled caches"), 1 shl 20, madeBy = "test 1")
        val options = Options(liteRtLibrary = on.library, weightCaches = caches, advance = false)
        on.open(options).using { model ->
            runBlocking {
                val building =
                    launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) {
                        model.buildWeightCaches()
                    }
                building.cancel()
                building.join()
                check(building.isCancelled)
            }
            check(on.runAll(model) == setOf(0))
        }
        val model = on.open(options)
        model.closeAndWait()
        refused<IllegalStateException> { runBlocking { model.buildWeightCaches() } }
        on.open(on.options(advance = false)).using {
            refused<PwlException.Usage> { runBlocking { it.buildWeightCaches() } }
        }
    }

    scenario("what was installed leaves the next start nothing to hash or to pack") {
        val copy = on.copy("installed")
        val stamps = on.file("installed stamps")
        val caches = WeightCaches(on.file("installed caches"), Long.MAX_VALUE, madeBy = "test 1")
        val options =
            Options(liteRtLibrary = on.library, verifiedFiles = stamps, weightCaches = caches)
        val told = mutableListOf<InstallStep>()
        val threads = mutableSetOf<String>()
        val done = runBlocking {
            ProgressiveModel.install(copy, options) {
                told += it
                threads += Thread.currentThread().name
            }
        }
        val units = on.units.size
        check(done.hashed == units && done.known == 0) { done }
        check(done.weightCaches.built > 0 && done.weightCaches.there == 0) { done }
        check(told.map { it.number } == (0 until 2 * units).toList()) { told }
        check(told.all { it.steps == 2 * units && it.packs == (it.number >= units) }) { told }
        check(told.take(units).map { File(copy, it.file).length() }.all { it > 0 }) { told }
        check(threads == setOf("pwl-install")) { threads }
        val saved = { Files.readAttributes(stamps.toPath(), BasicFileAttributes::class.java) }
        val before = saved().fileKey()
        on.open(options, copy).using { model ->
            runBlocking { model.awaitStage(on.last) }
            check(on.runAll(model) == setOf(on.last))
            val again = runBlocking { model.buildWeightCaches() }
            check(again.built == 0 && again.there == done.weightCaches.built) { again }
        }
        check(saved().fileKey() == before) { "a file was hashed again" }
        val again = runBlocking { ProgressiveModel.install(copy, options) }
        check(again.hashed == 0 && again.known == units) { again }
        check(again.weightCaches == WeightCaches.Built(0, done.weightCaches.built, 0)) { again }
    }

    scenario("files that cannot be installed are named, and none of the bundle is packed") {
        val copy = on.copy("not whole")
        on.unit(copy, "teacher-1").writeBytes(ByteArray(7))
        on.unit(copy, "teacher-2").delete()
        val caches = WeightCaches(on.file("caches of half"), Long.MAX_VALUE, madeBy = "test 1")
        val options = Options(liteRtLibrary = on.library, weightCaches = caches)
        val install = { runBlocking { ProgressiveModel.install(copy, options) } }
        val why = refused<PwlException.Damaged> { install() }.message!!
        check("teacher-1: 7 bytes" in why && "teacher-2" in why && "student" !in why) { why }
        check(caches.folder.listFiles()!!.none { it.extension == "xnnpack" })
        refused<IllegalArgumentException> {
            runBlocking { ProgressiveModel.install(copy, on.options()) }
        }
    }

    scenario("installing ends when it is cancelled or the app throws, and goes on the next time") {
        val copy = on.copy("installed in pieces")
        val options =
            Options(liteRtLibrary = on.library, verifiedFiles = on.file("stamps of pieces"))
        val mine = ArithmeticException("mine")
        val thrown =
            refused<ArithmeticException> {
                runBlocking {
                    ProgressiveModel.install(copy, options) { if (it.number == 1) throw mine }
                }
            }
        check(thrown.message == "mine") { thrown }
        val reached = CountDownLatch(1)
        val held = CountDownLatch(1)
        val told = AtomicInteger()
        runBlocking {
            val installing =
                launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) {
                    ProgressiveModel.install(copy, options) {
                        told.set(it.number)
                        reached.countDown()
                        held.await()
                    }
                }
            reached.await()
            installing.cancel()
            installing.join()
            check(installing.isCancelled)
            held.countDown()
        }
        val done = runBlocking { ProgressiveModel.install(copy, options) }
        check(done.known >= 1 && done.hashed + done.known == on.units.size) { done }
        check(done.weightCaches == WeightCaches.Built(0, 0, 0)) { done }
        check(told.get() == 0) { "it went on to step $told" }
    }

    scenario("a collector that throws harms nobody but itself") {
        on.open(on.options(advance = false)).using { model ->
            val mine = IllegalArgumentException("mine")
            runBlocking(Dispatchers.Default) {
                val failing = async(SupervisorJob()) {
                    model.stage.collect {
                        if (it.index >
                            0
                        ) {
                            throw mine
                        }
                    }
                }
                model.advance()
                check(model.awaitStage(on.last).stopped == null)
                check(
                    refused<IllegalArgumentException> {
                        runBlocking { failing.await() }
                    }.message ==
                        "mine"
                )
            }
            check(on.runAll(model) == setOf(on.last))
        }
    }

    scenario("a collector that throws on the loading thread does not end it") {
        on.open(on.options(advance = false)).using { model ->
            val where = AtomicReference<String>()
            val thrown = AtomicReference<Throwable>()
            val handler = CoroutineExceptionHandler { _, error -> thrown.set(error) }
            CoroutineScope(Dispatchers.Unconfined + handler).launch {
                model.stage.collect {
                    if (it.index > 0) {
                        where.set(Thread.currentThread().name)
                        error("mine")
                    }
                }
            }
            model.advance()
            check(runBlocking { model.awaitStage(on.last) }.stopped == null)
            check(where.get() == "pwl-loader" && thrown.get().message == "mine") { where.get() }
            model.retreat()
            model.awaitIndex(0)
            model.advance()
            runBlocking { model.awaitStage(on.last) }
        }
    }

    scenario("a stage that Java had no memory to tell of is told with the next answer") {
        on.open(on.options(advance = false)).using { model ->
            val buffer = ByteBuffer.allocateDirect(Fixture.INPUT * 4)
            buffer.order(ByteOrder.nativeOrder())
            val logits = FloatArray(model.classes)
            val infer = listOf({ model.run(on.inputs[0]).stage }, { model.run(buffer, logits) })
            model.advance(1)
            model.awaitIndex(1)
            val callbacks = model.member("callbacks").get(model)

            @Suppress("UNCHECKED_CAST")
            val state = callbacks.member("state").get(callbacks) as MutableStateFlow<Any>
            for (run in infer) {
                // As it is when memory ran out while C++ was telling.
                state.value = Stage(0, isFinal = false)
                callbacks.member("behind").setBoolean(callbacks, true)
                check(run() == 1)
                check(model.stage.value == Stage(1, isFinal = false)) { model.stage.value }
            }
            val failed = callbacks.javaClass.methods.single { it.name == "stageFailed" }
            failed.invoke(callbacks, 2, 6, null) // nor was there any for the message
            val why = model.stage.value.stopped
            check(why is PwlException.Failed && "no memory" in why.message!!) { "$why" }
        }
    }

    scenario("an error that the app throws while a stage loads ends loading with its name") {
        val mine = StackOverflowError("mine")
        on.open(on.options { throw mine }).using { model ->
            check((model.awaitStop() as PwlException.Failed).cause === mine)
            check(on.runAll(model) == setOf(0))
        }
    }

    scenario("the manifest names labels and what each stage is worth") {
        val manifest = BundleManifest.read(on.bundle)
        check(manifest.labels == (0..9).map { "$it" })
        check(manifest.stages.size == on.last + 1 && manifest.stages[0].route == "SSS")
        check(manifest.stages.all { it.accuracy in 0.0..1.0 && it.loadBytes > 0 })
        check(ImageInput(manifest.input).size == Fixture.INPUT)
        val text = File(on.bundle, BundleManifest.FILE).readText()
        refused<PwlException.InvalidPlan> { BundleManifest.parse(text.dropLast(2)) }
        refused<PwlException.InvalidPlan> {
            BundleManifest.parse(text.replace("\"gray\"", "\"BGR\""))
        }
        refused<PwlException.InvalidPlan> {
            BundleManifest.parse(text.replace("\"background\": null", "\"background\": \"white\""))
        }
        refused<PwlException.InvalidPlan> { BundleManifest.parse("[".repeat(100_000)) }
    }

    scenario("the manifest of a model that reads no images says so") {
        check(BundleManifest.read(on.bundle).readsImages)
        val text = File(on.bundle, BundleManifest.FILE).readText()
        val sound = text.replace("\"preprocessing\": {", "\"kind\": \"tensor\", \"unread\": {")
        val manifest = BundleManifest.parse(sound)
        check(!manifest.readsImages && manifest.inputShape == listOf(1, 8, 8, 1))
        val why = refused<IllegalStateException> { manifest.input }
        check("reads a tensor [1, 8, 8, 1], no image" in why.message!!) { why }
        refused<PwlException.InvalidPlan> {
            BundleManifest.parse(sound.replace("\"tensor\"", "\"video\""))
        }
    }

    scenario("a manifest whose numbers are no image's or no model's is refused by their names") {
        val text = File(on.bundle, BundleManifest.FILE).readText()
        val wrong =
            mapOf(
                "width" to listOf("0", "-8", "8.5", "65537", "1e10", "null", "\"8\""),
                "height" to listOf("0", "-8", "8.5", "65537"),
                "scale" to listOf("0", "1", "255.5"),
                "mean" to listOf("[1e999]", "[1e39]", "[]", "[0.5, 0.5]", "[null]"),
                "std" to listOf("[0]", "[-1]", "[1e-50]", "[1e-45]", "[1e999]", "[]"),
                "background" to listOf("\"#-1\"", "\"#fff\"", "\"#12345678\"", "\"ffffff\""),
                "color_order" to listOf("\"as-is\"", "4"),
                "crop" to listOf("\"center\"", "\"224\""),
                "threads" to listOf("0", "-1", "65", "1e9"),
                "load_bytes" to listOf("-1", "0.5", "1e300"),
                "top1" to listOf("-0.1", "1.1", "1e999"),
                "shape" to listOf("[0]", "[-1, 8, 8, 1]", "[1.5]", "[1e10]"),
                "schema_version" to listOf("0", "2.5", "3")
            )
        for ((name, values) in wrong) {
            val field = Regex("\"$name\": (\\[[^]]*]|\"[^\"]*\"|[^,\\s}]+)")
            for (value in values) {
                val broken = field.replace(text, "\"$name\": $value")
                check(broken != text) { name }
                val result = runCatching { BundleManifest.parse(broken) }
                val why = result.exceptionOrNull()
                check(why is PwlException.InvalidPlan) { "$name $value: $result" }
                check(name in why.message!! || name == "schema_version" || name == "color_order") {
                    "$name $value: $why"
                }
            }
        }
        val large = Regex("\"(width|height)\": \\d+").replace(text, "\"$1\": 65536")
        refused<PwlException.InvalidPlan> { BundleManifest.parse(large) }
        refused<IllegalArgumentException> { Options(threads = -1) }
        refused<IllegalArgumentException> { Options(threads = 65) }
    }

    scenario("a folder may have any name") {
        val folder = on.copy("m\u00f6del \ud83d\ude80")
        on.open(folder = folder).using { runBlocking { it.awaitStage(on.last) } }
        val missing = File(on.file("nirgends \ud83d\ude80"), "x")
        refused<PwlException.Missing> { on.open(folder = missing) }
    }

    scenario("two thousand models that were closed leave no memory, file or thread") {
        val cycle = {
            on.open().using { model ->
                model.run(on.inputs[0]) // which loading would wait for
                runBlocking { model.awaitStage(on.last) }
            }
        }
        repeat(400) { cycle() } // the JVM compiles, and its heap grows
        System.gc()
        val before = descriptors()
        val memory = residentKb()
        repeat(2000) { cycle() }
        System.gc()
        check(settles { descriptors() <= before }) {
            "${descriptors()} descriptors, $before before"
        }
        val left = Thread.getAllStackTraces().keys.filter { it.name == "pwl-loader" }
        check(left.isEmpty()) { left }
        // A model holds a hundred times that.
        val grown = residentKb() - memory
        check(grown < 2000 * 4) { "$grown KB more in 2,000 cycles" }
    }
}

/** Bytes that the process has asked files for; what is mapped is not among them. */
fun bytesRead(): Long =
    File("/proc/self/io").readLines().first { it.startsWith("rchar") }.substringAfter(": ").toLong()

/** What is private to the library. */
private fun Any.member(name: String) =
    javaClass.getDeclaredField(name).apply { isAccessible = true }

/** Memory of the process that is in RAM. */
fun residentKb(): Long =
    File("/proc/self/status").readLines().single { it.startsWith("VmRSS") }.filter { it.isDigit() }
        .toLong()

/** Descriptors that stay open: the JVM opens files of its own for moments, as for memory limits. */
fun descriptors(): Int = (1..10).minOf { File("/proc/self/fd").list()!!.size }

/** Whether something becomes so within seconds: what a closed model held may go a moment later. */
fun settles(so: () -> Boolean): Boolean {
    repeat(100) {
        if (so()) return true
        Thread.sleep(50)
    }
    return so()
}

/** The nice value of a process or thread. Behind the name, which may have spaces, it is the 17th. */
fun niceOf(task: String): String =
    File("/proc/$task/stat").readText().substringAfterLast(") ").split(" ")[16]

/** What ParcelFileDescriptor.getFd gives on Android. */
fun FileDescriptor.number(): Int =
    FileDescriptor::class.java.getDeclaredField("fd").apply { isAccessible = true }.getInt(this)
