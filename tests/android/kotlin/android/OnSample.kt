package dev.pwl.test

import android.app.Activity
import android.content.Context
import android.graphics.Canvas
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import com.google.android.gms.tasks.Task
import com.google.android.play.core.assetpacks.AssetPackLocation
import com.google.android.play.core.assetpacks.AssetPackManager
import com.google.android.play.core.assetpacks.AssetPackManagerFactory
import com.google.android.play.core.assetpacks.AssetPackState
import com.google.android.play.core.assetpacks.AssetPackStateUpdateListener
import com.google.android.play.core.assetpacks.AssetPackStates
import com.google.android.play.core.assetpacks.model.AssetPackStatus
import dev.pwl.sample.CurveView
import dev.pwl.sample.MainActivity
import dev.pwl.sample.SampleApp
import java.io.File
import java.util.concurrent.Callable
import java.util.concurrent.ConcurrentLinkedQueue
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking

/** Play, which delivers packs when a test says so. */
private class FakePlay : AssetPackManager {
    private val listeners = mutableListOf<AssetPackStateUpdateListener>()
    private val folders = mutableMapOf<String, File>()
    val fetched = mutableListOf<String>()

    override fun registerListener(listener: AssetPackStateUpdateListener) {
        listeners += listener
    }

    override fun getPackLocation(packName: String): AssetPackLocation? =
        folders[packName]?.let { folder ->
            object : AssetPackLocation() {
                override fun assetsPath() = folder.path
            }
        }

    override fun fetch(packNames: List<String>): Task<AssetPackStates> {
        fetched += packNames
        return object : Task<AssetPackStates>() {}
    }

    fun tell(pack: String, status: Int) = onMain {
        val state =
            object : AssetPackState() {
                override fun name() = pack

                override fun status() = status
            }
        listeners.forEach { it.onStateUpdate(state) }
    }

    fun deliver(pack: String, folder: File) {
        tell(pack, AssetPackStatus.DOWNLOADING)
        folders[pack] = folder
        tell(pack, AssetPackStatus.COMPLETED)
    }
}

private fun <T> onMain(call: () -> T): T = Activity.MAIN.submit(Callable { call() }).get()

/** An activity of the sample that a test looks at. */
private class Screen(private val app: SampleApp, state: android.os.Bundle? = null) {
    private val activity = MainActivity()

    init {
        onMain { activity.performStart(app, state) }
    }

    private inline fun <reified T> views(): List<T> =
        (activity.content() as ViewGroup).children.filterIsInstance<T>()

    private val texts = views<TextView>()
    val next = views<Button>().single()
    val answer = (texts - next)[0]
    val stage = (texts - next)[1]
    val image = views<ImageView>().single()

    fun curve(): List<String> = Canvas().also { views<CurveView>().single().draw(it) }.texts

    fun destroy(): android.os.Bundle = onMain { activity.performDestroy() }
}

/** The sample app on stand-ins of Android and of Play. */
object OnSample {
    fun run(on: Fixture, samples: File) {
        val crashes = ConcurrentLinkedQueue<Throwable>()
        Thread.setDefaultUncaughtExceptionHandler { _, error ->
            error.printStackTrace()
            crashes += error
        }
        samples.copyRecursively(on.file("app/assets/samples"))
        on.copy("app/assets/pwl") { !on.isTeachers(it) }
        Context.folder = on.file("app")
        itAnswersAndClimbsAndIsTurned(on)
        withoutAModelItSaysWhy(on)
        check(crashes.isEmpty()) { "the app would have crashed" }
    }

    private fun start(play: FakePlay): SampleApp {
        AssetPackManagerFactory.manager = play
        return SampleApp().also { onMain { it.onCreate() } }
    }

    private fun itAnswersAndClimbsAndIsTurned(on: Fixture) {
        val play = FakePlay()
        val app = start(play)
        val first = Screen(app)
        first.answer.await { it.startsWith("digit-3.png is: ") && it.last().isDigit() }
        first.stage.await { it.startsWith("Stage 0 of ${on.last}: ") && "Missing" in it }
        check(play.fetched == listOf("pwl_teacher")) { play.fetched }
        onMain { first.next.performClick() }
        first.answer.await { it.startsWith("digit-5.png") }

        on.copy("pack/pwl") { on.isTeachers(it) }
        play.deliver("pwl_teacher", on.file("pack"))
        val state = first.destroy() // turned while it climbs
        onMain { first.next.performClick() } // what was still on its way
        val second = Screen(app, state)
        second.stage.await { it == "Stage ${on.last} of ${on.last}" }
        second.answer.await { it.startsWith("digit-5.png") }
        check(second.image.shown.width == 8)
        val climbed = onMain { second.curve() }.size
        check(climbed in 2..on.last + 1) { climbed } // stages that followed at once may be one step

        second.destroy()
        onMain { app.trimMemory(40) }
        runBlocking { app.classifier.climb.first { it.text.startsWith("Stage 0 ") } }
        val third = Screen(app)
        third.stage.await { it == "Stage ${on.last} of ${on.last}" }
        check(onMain { third.curve() }.size >= climbed + 2) // down, and up again
        third.destroy()
    }

    private fun withoutAModelItSaysWhy(on: Fixture) {
        check(on.file("app/assets/pwl").deleteRecursively())
        val screen = Screen(start(FakePlay()))
        val text = screen.stage.await { it.startsWith("No model: ") }
        check("noCompress" in text) { text }
        onMain { screen.next.performClick() }
        screen.destroy()
        check(screen.answer.text == "")
    }
}
