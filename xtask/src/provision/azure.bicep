// An image for Azure of the profile {{profile}}. Written by `cargo xtask provision azure image`; write it anew rather than
// change it. Deployed into the resource group that has the storage account with the disk:
//
//   az deployment group create --resource-group GROUP --template-file main.bicep \
//     --parameters main.parameters.json storageAccountName=NAME

@description('Where the gallery is, and the first copy of the image.')
param location string = resourceGroup().location

@description('Name of the gallery, which is made if it is not there: letters, digits, dots, underscores.')
@minLength(1)
@maxLength(80)
param galleryName string

@description('Name of the image definition.')
@minLength(1)
@maxLength(80)
param imageName string

@description('Version of the image: three numbers.')
param imageVersion string

@description('Who publishes the image; with offer and name it is unique within a gallery.')
param publisher string

@description('What the image belongs to.')
param offer string

@description('Processors that the disk is for.')
@allowed(['x64', 'Arm64'])
param architecture string

@description('Generalized: a machine gets its name and users when it first starts. Specialized: it starts as the disk is.')
@allowed(['Generalized', 'Specialized'])
param osState string

@description('Which machines may be made of the image.')
@allowed(['ConfidentialVMSupported', 'TrustedLaunchSupported'])
param securityType string

@description('Storage account that has the disk.')
param storageAccountName string

@description('Container of the disk.')
param containerName string

@description('Name of the disk, a page blob.')
param blobName string

@description('Copies of the image in its region.')
@minValue(1)
@maxValue(100)
param replicaCount int = 1

resource storageAccount 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageAccountName
}

resource gallery 'Microsoft.Compute/galleries@2024-03-03' = {
  name: galleryName
  location: location
  properties: {}
}

resource image 'Microsoft.Compute/galleries/images@2024-03-03' = {
  parent: gallery
  name: imageName
  location: location
  properties: {
    architecture: architecture
    features: [
      {
        name: 'SecurityType'
        value: securityType
      }
    ]
    hyperVGeneration: 'V2'
    identifier: {
      publisher: publisher
      offer: offer
      sku: imageName
    }
    osState: osState
    osType: 'Linux'
  }
}

resource version 'Microsoft.Compute/galleries/images/versions@2024-03-03' = {
  parent: image
  name: imageVersion
  location: location
  properties: {
    publishingProfile: {
      replicaCount: replicaCount
      targetRegions: [
        {
          name: location
        }
      ]
    }
    storageProfile: {
      osDiskImage: {
        source: {
          storageAccountId: storageAccount.id
          uri: '${storageAccount.properties.primaryEndpoints.blob}${containerName}/${blobName}'
        }
      }
    }
  }
}

@description('What a machine is made of.')
output imageId string = version.id
