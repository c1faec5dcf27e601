package com.google.android.play.core.assetpacks.model;

public @interface AssetPackStatus {
  int DOWNLOADING = 2;
  int COMPLETED = 4;
}
