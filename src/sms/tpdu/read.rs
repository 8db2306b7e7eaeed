//! Octets taken off the front of a TPDU, each under the name of its field. Never past the end.

use super::TpduError;

#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader { rest: octets }
    }

    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], TpduError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TpduError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn octet(&mut self, field: &'static str) -> Result<u8, TpduError> {
        let [octet] = self.array(field)?;
        Ok(octet)
    }

    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], TpduError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(TpduError::Truncated { field })?;
        self.rest = rest;
        Ok(*taken)
    }
}
