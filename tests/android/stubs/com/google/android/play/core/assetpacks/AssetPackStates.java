package com.google.android.play.core.assetpacks;

public abstract class AssetPackStates {}
