package android.graphics;

import java.awt.image.BufferedImage;
import java.io.InputStream;
import java.io.UncheckedIOException;
import javax.imageio.ImageIO;

public class BitmapFactory {
  public static Bitmap decodeStream(InputStream stream) {
    try {
      BufferedImage image = ImageIO.read(stream);
      int width = image.getWidth();
      int height = image.getHeight();
      int[] pixels = new int[width * height];
      for (int at = 0; at < pixels.length; at++) {
        // Java would take a gray image for linear light; Android takes its values as they are.
        int[] values = image.getRaster().getPixel(at % width, at / width, (int[]) null);
        int green = values[values.length < 3 ? 0 : 1];
        int blue = values[values.length < 3 ? 0 : 2];
        pixels[at] = 0xFF000000 | values[0] << 16 | green << 8 | blue;
      }
      return new Bitmap(pixels, width);
    } catch (java.io.IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
