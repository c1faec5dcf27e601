package dev.pwl.sample

import android.app.Application
import com.google.android.play.core.assetpacks.AssetPackManagerFactory
import dev.pwl.android.AppLifecycle

/** Holds the model, which outlives activities: a phone that is turned must not load it again. */
class SampleApp : Application() {
    lateinit var classifier: Classifier
        private set

    override fun onCreate() {
        super.onCreate()
        val packs = Packs(AssetPackManagerFactory.getInstance(this))
        classifier = Classifier(this, AppLifecycle(this), packs)
    }
}
