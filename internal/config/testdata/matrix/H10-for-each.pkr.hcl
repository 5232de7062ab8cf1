# args: -except=*-old
locals {
  regions = { kr = "KR", sgn = "SGN", old = "JPN" }
}
source "ncloud" "web" {
  for_each                  = local.regions
  server_image_product_code = "SPSW0LINUX000130"
  region                    = each.value
  server_image_name         = "web-${each.key}"
}
source "ncloud" "plain" {
  server_image_product_code = "SPSW0LINUX000130"
}
build {
  sources = ["source.ncloud.web"]
  dynamic "provisioner" {
    for_each = ["one", "two"]
    labels   = ["shell"]
    content {
      inline = ["echo ${provisioner.value} ${source.name} ${each.key} ${build.Host}"]
    }
  }
}
build {
  name     = "tool"
  for_each = ["nginx", "redis"]
  source "ncloud.plain" {
    server_image_description = "image with ${each.value}"
  }
  provisioner "shell" { inline = ["apt-get install -y ${each.value}"] }
}
