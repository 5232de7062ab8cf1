source "ncloud" "a" {
  server_image_product_code = "SPSW0LINUX000130"
  server_image_name         = "image-${build.name}"
}
build {
  name = "bb"
  source "ncloud.a" { server_image_description = "image of ${build.name}" }
  provisioner "shell" { inline = ["${build.name}"] }
}
