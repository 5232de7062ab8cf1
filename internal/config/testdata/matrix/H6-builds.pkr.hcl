# args: -except=second.ncloud.b
source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
  server_image_name         = "from-${source.name}"
  region                    = "KR"
}
source "ncloud" "b" {
  server_image_product_code = "SPSW0LINUX000131"
}
build {
  name        = "first"
  description = "a build"
  sources     = ["source.ncloud.a", source.ncloud.b]
  provisioner "shell" { inline = ["${source.type} ${source.name} ${build.name}"] }
}
build {
  name = "second"
  source "source.ncloud.a" {
    name               = "renamed"
    region             = "SGN"
    server_image_name  = "over-${source.name}"
    block_storage_size = 20
  }
  source "ncloud.b" {}
}
build {
  sources = ["sources.ncloud.b"]
}
