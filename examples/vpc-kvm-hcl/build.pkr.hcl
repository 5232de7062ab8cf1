packer {
  required_plugins {
    ncloud = {
      source  = "github.com/NaverCloudPlatform/ncloud"
      version = ">= 1.0.0"
    }
  }
}

source "ncloud" "kvm" {
  region              = "KR"
  server_image_number = data.ncloud-image.ubuntu.number
  server_spec_code    = data.ncloud-spec.small.code
  subnet_no           = data.ncloud-subnet.public.subnet_no

  block_storage_size        = var.disk.size
  block_storage_volume_type = var.disk.type
}

build {
  source "ncloud.kvm" {
    name                     = "app"
    server_image_name        = local.image_name
    server_image_description = "${data.ncloud-image.ubuntu.name} with ${join(", ", var.packages)}, ${local.built}"
  }

  provisioner "shell" {
    inline = concat(
      ["apt-get update"],
      [for p in var.packages : "apt-get install -y ${p}"],
      ["echo 'built on ${build.Host}, ${local.built}' > /etc/built"],
    )
  }

  error-cleanup-provisioner "shell" {
    inline = ["tail -n 20 /var/log/syslog || true"]
  }

  post-processor "manifest" {
    custom_data = {
      base = data.ncloud-image.ubuntu.name
    }
  }
}
