# SPDX-License-Identifier: Apache-2.0
"""OpenAPI: the document that describes the api, made from the routes and the types of the bodies."""
