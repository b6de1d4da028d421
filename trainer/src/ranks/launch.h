// Where this process stands among those that a launcher started for one job: mpirun or srun (Open MPI, MPICH), torchrun.
// defines: Launch, launch_from_environment
#pragma once

#include <string>

namespace concord {

struct Launch {
  int rank = 0, size = 1;
  std::string address;  // where rank 0 listens
  int port = 0;
};

// From OMPI_COMM_WORLD_RANK and _SIZE, else PMI_RANK and _SIZE, else RANK and WORLD_SIZE; without any of them this is the only rank.
// MASTER_ADDR and MASTER_PORT, where not given, are this host and a port that follows from `output_dir`, so that two jobs on one host do
// not meet. Failure(2), naming the variable, where one is missing or no number.
Launch launch_from_environment(const std::string& output_dir);

// How long rank 0 waits for the others, and they for it: CONCORD_RENDEZVOUS_SECONDS, else two minutes.
int rendezvous_seconds();

}  // namespace concord
