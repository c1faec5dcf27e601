package dev.pwl

/**
 * Reads JSON as far as manifest.json goes: objects are maps, numbers are doubles.
 *
 * Android has a reader of its own, the JVM of the tests has not; the manifest is small.
 */
internal class Json private constructor(private val text: String) {
    private var at = 0

    private fun document(): Any? {
        val value = value(depth = 0)
        if (peek() != END) fail("more than one value")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > DEEPEST) fail("nested too deeply")
        return when (peek()) {
            '{' -> fields(depth)
            '[' -> items(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> number()
        }
    }

    private fun fields(depth: Int): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        sequence('{', '}') {
            if (peek() != '"') fail("a name is expected")
            val name = string()
            expect(':')
            found[name] = value(depth + 1)
        }
        return found
    }

    private fun items(depth: Int): List<Any?> {
        val found = ArrayList<Any?>()
        sequence('[', ']') { found += value(depth + 1) }
        return found
    }

    private inline fun sequence(first: Char, last: Char, element: () -> Unit) {
        expect(first)
        if (peek() == last) {
            at++
            return
        }
        while (true) {
            element()
            if (peek() == last) break
            expect(',')
        }
        at++
    }

    private fun string(): String {
        expect('"')
        val found = StringBuilder()
        while (true) {
            when (val next = take()) {
                '"' -> return found.toString()
                '\\' -> found.append(escaped())
                else -> found.append(next)
            }
        }
    }

    private fun escaped(): Char = when (val next = take()) {
        'u' -> {
            val digits = text.substring(at, minOf(at + 4, text.length))
            at += digits.length
            val code = digits.toIntOrNull(16).takeIf { digits.length == 4 && digits[0] !in "+-" }
            code?.toChar() ?: fail("a character is expected")
        }

        'n' -> '\n'

        't' -> '\t'

        'r' -> '\r'

        'b' -> '\b'

        'f' -> '\u000C'

        '"', '\\', '/' -> next

        else -> fail("an unknown escape")
    }

    private fun number(): Double {
        val begin = at
        while (at < text.length && text[at] in "+-.eE0123456789") at++
        return text.substring(begin, at).toDoubleOrNull() ?: fail("a value is expected")
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, at)) fail("a value is expected")
        at += word.length
        return value
    }

    private fun peek(): Char {
        while (at < text.length && text[at] in " \n\r\t") at++
        return if (at < text.length) text[at] else END
    }

    private fun take(): Char = if (at < text.length) text[at++] else fail("cut short")

    private fun expect(wanted: Char) {
        if (peek() != wanted) fail("'$wanted' is expected")
        at++
    }

    private fun fail(why: String): Nothing =
        throw PwlException.InvalidPlan("at character $at: $why")

    companion object {
        private const val DEEPEST = 32
        private const val END = '\u0000'

        /** The object that a text holds. */
        fun parse(text: String): JsonObject = JsonObject.of(Json(text).document(), "the file")
    }
}

/** The fields of an object, which are what they are asked for as, or throw [PwlException]. */
internal class JsonObject private constructor(
    private val fields: Map<*, *>,
    private val place: String
) {
    fun fields(name: String): JsonObject = of(fields[name], name)

    fun objects(name: String): List<JsonObject> = items(name).map { of(it, name) }

    fun items(name: String): List<Any?> = fields[name] as? List<*> ?: fail(name)

    fun texts(name: String): List<String> = items(name).map { it as? String ?: fail(name) }

    fun numbers(name: String): List<Double> = items(name).map { it as? Double ?: fail(name) }

    fun text(name: String): String = textOrNull(name) ?: fail(name)

    fun textOrNull(name: String): String? = fields[name]?.let { it as? String ?: fail(name) }

    /** One that is not NaN, which no range holds. */
    fun number(name: String, range: ClosedRange<Double>): Double {
        val found = fields[name] as? Double ?: fail(name)
        return if (found in range) found else refuse(name, found, range)
    }

    fun int(name: String, range: IntRange): Int = int(name, fields[name], range)

    fun ints(name: String, range: IntRange): List<Int> = items(name).map { int(name, it, range) }

    /** A number of bytes: at most what a double holds exactly. */
    fun bytes(name: String): Long {
        val found = number(name, 0.0..LARGEST)
        return found.toLong().also { if (it.toDouble() != found) fail(name) }
    }

    private fun int(name: String, value: Any?, range: IntRange): Int {
        val found = value as? Double ?: fail(name)
        val whole = found.toInt()
        if (whole.toDouble() != found) fail(name)
        return if (whole in range) whole else refuse(name, whole, range)
    }

    private fun refuse(name: String, found: Number, range: Any): Nothing =
        throw PwlException.InvalidPlan("$name in $place is $found, which is not within $range")

    private fun fail(name: String): Nothing =
        throw PwlException.InvalidPlan("$name is missing in $place, or something else")

    companion object {
        private const val LARGEST = 9007199254740992.0

        fun of(value: Any?, place: String): JsonObject = JsonObject(
            value as? Map<*, *> ?: throw PwlException.InvalidPlan("$place is no object"),
            place
        )
    }
}
