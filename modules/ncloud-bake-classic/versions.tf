terraform {
  required_version = ">= 1.5"

  required_providers {
    # 3.3.2 is the last release that speaks to the Classic platform.
    ncloud = {
      source  = "NaverCloudPlatform/ncloud"
      version = "3.3.2"
    }
  }
}
