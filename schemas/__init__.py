# SPDX-License-Identifier: Apache-2.0
"""Domain types and wire formats: writes, jobs, lanes, clients, MLflow's endpoints. Imports no other package of ours."""
