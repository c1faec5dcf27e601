package dev.pwl.test

import java.io.File
import kotlin.system.exitProcess

/**
 * Arguments: bundle, libLiteRt.so, folder to work in, bundle of the release before, scenarios.
 * Prints a line for each.
 */
fun main(arguments: Array<String>) {
    val (bundle, library, work, before) = arguments
    val scenarios = specification(Fixture(File(bundle), library, File(work), File(before)))
    for (name in arguments.drop(4)) {
        try {
            scenarios.getValue(name).invoke()
            println("ok\t$name")
        } catch (error: Throwable) {
            println("failed\t$name\t${error.stackTraceToString().replace("\n", "\\n")}")
        }
    }
    exitProcess(0) // what a failed scenario left running ends with it
}
