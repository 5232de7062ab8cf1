# -except=second
source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
}

source "ncloud" "b" {
  server_image_product_code = "SPSW0LINUX000130"
}

build {
  sources = ["source.ncloud.a", "source.ncloud.b"]

  post-processor "manifest" {
  }

  post-processor "manifest" {
    output = "out/${source.name}.json"
    custom_data = {
      image = build.ImageNo
      n     = 1
    }
    only = ["ncloud.a"]
  }

  post-processors {

    post-processor "checksum" {
      checksum_types      = ["sha256"]
      keep_input_artifact = true
    }

    post-processor "shell-local" {
      name   = "second"
      inline = ["never"]
    }

    post-processor "manifest" {
    }
  }
}
# notes:
# 
