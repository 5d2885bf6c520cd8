// SPDX-License-Identifier: Apache-2.0
// The English texts of Cloudscape's components, such as the names of their buttons.
import english from '@cloudscape-design/components/i18n/messages/all.en';

export const messages = [english];
