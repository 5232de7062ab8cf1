terraform {
  required_version = ">= 1.5"

  required_providers {
    ncloud = {
      source  = "NaverCloudPlatform/ncloud"
      version = "3.3.2"
    }
  }
}

# Keys come from NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY.
provider "ncloud" {
  support_vpc = false
  region      = "KR"
}

variable "login_key_name" {
  description = "Name of an existing login key."
  type        = string
}

variable "acg_configuration_no" {
  description = "Configuration number of an ACG that lets you in on port 22."
  type        = string
}

module "bake" {
  source = "../.."

  name           = "bake-example"
  zone           = "KR-1"
  login_key_name = var.login_key_name

  server_image_product_code = "SPSW0LINUX000046"
  server_product_code       = "SPSVRSSD00000003"
  block_storage_size        = 20

  access_control_group_configuration_no_list = [var.acg_configuration_no]

  user_data = <<-EOT
    #!/bin/bash
    timedatectl set-timezone Asia/Seoul
  EOT
}

output "ssh" {
  description = "How to log in."
  value       = "ssh root@${module.bake.public_ip}"
}
