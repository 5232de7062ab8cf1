locals {
  a = vault("secret/x", "key")
  b = file("nowhere.txt")
  c = env("HOME")
  d = templatefile("files/motd.tpl", { name = "x" })
  e = sum([])
}
source "ncloud" "x" {
  server_image_product_code = "SPSW0LINUX000130"
}
build { sources = ["source.ncloud.x"] }
