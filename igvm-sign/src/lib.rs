//! ID blocks of SEV-SNP: what the launch digest has to be, signed, in the IGVM file itself, so that the processor
//! refuses to start anything else (AMD, SEV Secure Nested Paging Firmware ABI, section 8.18 SNP_LAUNCH_FINISH).
//!
//! Signatures are deterministic (RFC 6979): the same file and key give the same bytes, and no random number can be
//! bad. A program of its own, because its arithmetic takes long to compile and few sign.

use igvm::{IgvmDirectiveHeader, IgvmFile, IgvmInitializationHeader, IgvmPlatformHeader, IgvmSerializer};
use igvm_defs::{IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY, IGVM_VHS_SNP_ID_BLOCK_SIGNATURE, IgvmPlatformType};
use p384::ecdsa::{Signature, SigningKey, VerifyingKey, signature::Signer};

/// Who the guest is, for those who attest it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    pub family_id: [u8; 16],
    pub image_id: [u8; 16],
    pub version: u32,
    pub guest_svn: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("the file has no SEV-SNP platform, which alone has ID blocks")]
    NoPlatform,
    #[error("the file has an ID block already")]
    Signed,
    #[error("the file has no guest policy for SEV-SNP")]
    NoPolicy,
    #[error("the file can't be measured")]
    Measure(#[source] igvm::Error),
}

/// ECDSA with P-384 and SHA-384 (Firmware ABI, chapter 10).
const ECDSA_P384_SHA384: u32 = 1;
const CURVE_P384: u32 = 2;

/// The header with the signed ID block of a file.
pub fn id_block(
    file: &IgvmFile,
    identity: &Identity,
    key: &SigningKey,
) -> Result<IgvmDirectiveHeader, SignError> {
    let IgvmPlatformHeader::SupportedPlatform(platform) = file
        .platforms()
        .iter()
        .find(|IgvmPlatformHeader::SupportedPlatform(own)| own.platform_type == IgvmPlatformType::SEV_SNP)
        .ok_or(SignError::NoPlatform)?;
    let mask = platform.compatibility_mask;
    if file.directives().iter().any(|own| matches!(own, IgvmDirectiveHeader::SnpIdBlock { .. })) {
        return Err(SignError::Signed);
    }
    let policy = file.initializations().iter().find_map(|own| match own {
        IgvmInitializationHeader::GuestPolicy { policy, compatibility_mask }
            if compatibility_mask & mask != 0 =>
        {
            Some(*policy)
        }
        _ => None,
    });
    let policy = policy.ok_or(SignError::NoPolicy)?;
    let serializer = IgvmSerializer::new(file).map_err(SignError::Measure)?;
    let measured = serializer.measurement_for(IgvmPlatformType::SEV_SNP).ok_or(SignError::NoPlatform)?;
    let digest: [u8; 48] = std::array::from_fn(|index| measured.digest[index]);

    let signature: Signature = key.sign(&signed_bytes(&digest, identity, policy));
    Ok(IgvmDirectiveHeader::SnpIdBlock {
        compatibility_mask: mask,
        author_key_enabled: 0,
        reserved: [0; 3],
        ld: digest,
        family_id: identity.family_id,
        image_id: identity.image_id,
        version: identity.version,
        guest_svn: identity.guest_svn,
        id_key_algorithm: ECDSA_P384_SHA384,
        author_key_algorithm: 0,
        id_key_signature: Box::new(IGVM_VHS_SNP_ID_BLOCK_SIGNATURE {
            r_comp: little_endian(&signature.r().to_bytes()),
            s_comp: little_endian(&signature.s().to_bytes()),
        }),
        id_public_key: Box::new(public_key(key.verifying_key())),
        author_key_signature: Box::new(IGVM_VHS_SNP_ID_BLOCK_SIGNATURE { r_comp: [0; 72], s_comp: [0; 72] }),
        author_public_key: Box::new(IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY {
            curve: 0,
            reserved: 0,
            qx: [0; 72],
            qy: [0; 72],
        }),
    })
}

/// The ID block as the processor has it (Firmware ABI, table "ID_BLOCK Structure").
pub fn signed_bytes(digest: &[u8; 48], identity: &Identity, policy: u64) -> Vec<u8> {
    [
        &digest[..],
        &identity.family_id,
        &identity.image_id,
        &identity.version.to_le_bytes(),
        &identity.guest_svn.to_le_bytes(),
        &policy.to_le_bytes(),
    ]
    .concat()
}

fn public_key(key: &VerifyingKey) -> IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY {
    let point = key.to_encoded_point(false);
    let coordinate =
        |bytes: Option<&p384::FieldBytes>| little_endian(bytes.expect("an uncompressed point has both"));
    IGVM_VHS_SNP_ID_BLOCK_PUBLIC_KEY {
        curve: CURVE_P384,
        reserved: 0,
        qx: coordinate(point.x()),
        qy: coordinate(point.y()),
    }
}

/// Numbers of the format: least byte first, zeros behind.
fn little_endian(big_endian: &[u8]) -> [u8; 72] {
    let mut number = [0; 72];
    for (to, from) in number.iter_mut().zip(big_endian.iter().rev()) {
        *to = *from;
    }
    number
}
