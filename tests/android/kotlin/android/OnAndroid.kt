package dev.pwl.test

import android.app.Activity
import android.app.Application
import android.content.Context
import android.content.res.AssetManager
import android.graphics.Bitmap
import dev.pwl.PwlException
import dev.pwl.android.AppLifecycle
import dev.pwl.android.BitmapInput
import dev.pwl.android.installFromAssets
import dev.pwl.android.openFromAssets
import dev.pwl.android.readManifest
import java.io.File
import java.io.IOException
import kotlin.math.abs
import kotlin.system.exitProcess
import kotlinx.coroutines.runBlocking

private class AppContext(private val folder: File) : Context() {
    override fun getAssets() = AssetManager(folder)

    override fun getNoBackupFilesDir() = folder
}

/** What needs Android does, on a stand-in of it. Arguments: bundle, library, work, images. */
object OnAndroid {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val (bundle, library, work, samples) = arguments
        val on = Fixture(File(bundle), library, File(work))
        theStudentComesFromTheAssets(on)
        whatIsInTheAssetsAndInPacksIsInstalled(on)
        aBitmapBecomesAnInput(on)
        aMissingAssetNamesNoCompress(on)
        loadingFollowsTheActivities(on)
        memoryThatIsShortTakesTheVisibleAppDownToo(on)
        println("library ok")
        OnSample.run(on, File(samples))
        println("sample ok")
        exitProcess(0) // threads of the sample go on as long as its process
    }

    private fun theStudentComesFromTheAssets(on: Fixture) {
        on.copy("assets/pwl") { !on.isTeachers(it) }
        val context = AppContext(on.file("assets"))
        openFromAssets(context, options = on.options()).using { on.runAll(it) }
        val before = descriptors() // with what the first model of a process leaves open
        openFromAssets(context, options = on.options()).using { model ->
            check(model.awaitStop() is PwlException.Missing)
            model.addFolder(on.copy("pack") { on.isTeachers(it) })
            runBlocking { model.awaitStage(on.last) }
            check(on.runAll(model) == setOf(on.last))
        }
        check(settles { descriptors() <= before }) {
            "${descriptors()} descriptors, $before before"
        }
        check(on.file("assets/pwl-verified").length() > 0)
    }

    private fun whatIsInTheAssetsAndInPacksIsInstalled(on: Fixture) {
        val context = AppContext(on.file("assets"))
        val pack = on.copy("installed pack") { on.isTeachers(it) }
        val before = descriptors()
        val done = runBlocking { installFromAssets(context, folders = listOf(pack)) }
        check(done.hashed + done.known == on.units.size && done.hashed > 0) { done }
        check(settles { descriptors() <= before })
        val remembered = on.file("assets/pwl-verified").lastModified()
        openFromAssets(context, folders = listOf(pack), options = on.options()).using { model ->
            runBlocking { model.awaitStage(on.last) }
        }
        check(on.file("assets/pwl-verified").lastModified() == remembered)
    }

    private fun aBitmapBecomesAnInput(on: Fixture) {
        val manifest = readManifest(AppContext(on.file("assets")))
        val bitmap = Bitmap(IntArray(64) { 0xFF000000.toInt() or it * 0x010101 }, 8)
        val input = BitmapInput(manifest.input).convert(bitmap)
        // The digits are gray, on a scale from 0 to 1, less a mean, over a deviation.
        val step = input[1] - input[0]
        check(
            input.size == 64 && input.indices.all {
                abs(input[it] - input[0] - it * step) < 1e-4
            }
        )
    }

    private fun aMissingAssetNamesNoCompress(on: Fixture) {
        val error = refused<IOException> { openFromAssets(AppContext(on.file("nothing"))) }
        check("noCompress" in error.message!!)
    }

    private fun loadingFollowsTheActivities(on: Fixture) {
        val app = Application()
        val activity = Activity()
        on.open(on.options(advance = false)).using { model ->
            AppLifecycle(app).use { lifecycle ->
                val system = app.activities.single()
                lifecycle.attach(model)
                system.onActivityStarted(activity)
                system.onActivityStarted(Activity()) // the next one, before the first has stopped
                system.onActivityStopped(activity)
                runBlocking { model.awaitStage(on.last) }
                app.trimMemory(20) // its window is hidden: nothing is given up yet
                check(on.runAll(model) == setOf(on.last))
                app.trimMemory(40)
                model.awaitIndex(0)
                system.onActivityStopped(activity)
                check(model.stage.value.stopped is PwlException.Cancelled)
                system.onActivityStarted(activity)
                runBlocking { model.awaitStage(on.last) }
            }
            check(app.activities.isEmpty() && app.components.isEmpty())
        }
    }

    private fun memoryThatIsShortTakesTheVisibleAppDownToo(on: Fixture) {
        val app = Application()
        val lifecycle = AppLifecycle(app)
        val system = app.activities.single()
        val activity = Activity()
        val closed = on.open(on.options(advance = false))
        on.open(on.options(advance = false)).using { model ->
            system.onActivityStarted(activity)
            lifecycle.attach(closed)
            closed.closeAndWait() // and never detached
            lifecycle.attach(model) // it was open when the activity was there already
            val short = listOf({ app.trimMemory(15) }, { app.lowMemory() }, { app.trimMemory(80) })
            for (tell in short) {
                runBlocking { model.awaitStage(on.last) }
                for (level in listOf(5, 10)) app.trimMemory(level) // running low: not yet
                check(on.runAll(model) == setOf(on.last))
                tell()
                model.awaitIndex(0)
                // As long as the app stays visible, nothing goes up by itself: advance() would
                // forget at once that loading was cancelled.
                on.open(on.options(advance = false)).using { other ->
                    for (each in listOf(model, other)) each.cancel()
                    lifecycle.attach(other)
                    system.onActivityStarted(Activity())
                    system.onActivityStopped(activity)
                    for (each in listOf(model, other)) {
                        check(each.stage.value.stopped is PwlException.Cancelled)
                    }
                    lifecycle.detach(other)
                }
                system.onActivityStopped(activity)
                system.onActivityStarted(activity)
            }
            runBlocking { model.awaitStage(on.last) }
            lifecycle.detach(model)
            app.lowMemory()
            check(on.runAll(model) == setOf(on.last))
        }
        lifecycle.close()
    }
}
