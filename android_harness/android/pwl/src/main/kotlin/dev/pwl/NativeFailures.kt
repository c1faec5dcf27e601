package dev.pwl

/** Makes exceptions of the native library's codes (pwl::Code). Called by name from C++. */
internal object NativeFailures {
    @JvmStatic
    fun exception(code: Int, message: ByteArray): PwlException {
        val text = String(message, Charsets.UTF_8)
        return when (code) {
            1 -> PwlException.Usage(text)
            2 -> PwlException.InvalidPlan(text)
            3 -> PwlException.Missing(text)
            4 -> PwlException.Damaged(text)
            5 -> PwlException.Incompatible(text)
            7 -> PwlException.Io(text)
            8 -> PwlException.Cancelled(text)
            else -> PwlException.Failed(text)
        }
    }
}
