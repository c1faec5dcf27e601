package dev.pwl

/**
 * A file of a bundle that lies stored, not compressed, in another file: an asset in an APK.
 *
 * It is mapped where it lies if [offset] is a multiple of 16, and copied into memory otherwise.
 *
 * @property path in the bundle, such as `units/student-0.pte`.
 * @property descriptor of the file that holds it, open for reading; duplicated when a model is
 *   opened, so it may be closed then.
 * @property offset of its first byte.
 * @property length in bytes.
 */
public class FileSlice(
    public val path: String,
    public val descriptor: Int,
    public val offset: Long,
    public val length: Long
)
